"""Puts the elemental crystals that matcalc distributes into the layout of MatPES.

python make_slice.py OUTPUT.json.gz MatPES-PBE-Element-Refs.json.gz --elements B Sb

matcalc's files map elements to their ground state, as a document of MatPES with three keys more.
"""

import argparse
import gzip
import json
from pathlib import Path

ADDED = ("energy_per_atom", "energy_atomic", "structure_atomic")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("input", type=Path)
    parser.add_argument("--elements", nargs="*", help="all where none is named")
    arguments = parser.parse_args()
    with gzip.open(arguments.input) as file:
        documents = json.load(file)
    chosen = arguments.elements or documents
    entries = [{k: v for k, v in documents[e].items() if k not in ADDED} for e in chosen]
    with gzip.GzipFile(arguments.output, "wb", mtime=0) as file:
        file.write(json.dumps(entries, separators=(",", ":")).encode())


if __name__ == "__main__":
    main()

"""Puts records of mlearn's training.json and test.json together, unchanged.

python make_slice.py OUTPUT.json.gz training.json [test.json ...] --limit 100 --kinds Elastic

An input mlearn_Cu/id_prop.json or mlearn_Ni/id_prop.json of ALIGNN's examples stands for
training.json of that element: its first records are those, with energies per atom and without
their group, which follows from the atoms. Its later ones, of test.json, have wrong stresses.
"""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

from hydracalc import elements
from hydracalc.readers.crystals import write_crystal
from hydracalc.readers.json_stream import stream_list

TRAINING = {"Cu": 262, "Ni": 263}  # records of training.json
KINDS = ("AIMD-NVT", "Vacancy", "Elastic", "Surface")
PERFECT = 108  # atoms of a crystal without vacancy


def records_of(path: Path) -> list[dict]:
    """Records in mlearn's layout."""
    if path.name != "id_prop.json":
        return list(stream_list(path, ""))
    element = path.parent.name.partition("_")[2]
    return [training_record(r, element) for r in list(stream_list(path, ""))[: TRAINING[element]]]


def training_record(record: dict, element: str) -> dict:
    """A record of ALIGNN's copy in mlearn's layout."""
    cell, fractions = np.array(record["atoms"]["lattice_mat"]), np.array(record["atoms"]["coords"])
    count = len(fractions)
    numbers = np.full(count, elements.number(element))
    sites = 6 * fractions  # of a crystal of 3 x 3 x 3 cubes
    is_ideal = np.abs(sites - sites.round()).max() < 0.02
    kinds = {PERFECT: "Elastic" if is_ideal else "AIMD-NVT", PERFECT - 1: "Vacancy"}
    return {
        "structure": write_crystal(numbers, fractions @ cell, cell),
        "group": kinds.get(count, "Surface"),
        "description": f"record {record['jid']} of ALIGNN's mlearn_{element}",
        "num_atoms": count,
        "element": element,
        "tag": "train",
        "outputs": {
            "energy": record["total_energy"] * count,
            "forces": record["forces"],
            "virial_stress": record["stresses"],
        },
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=10**9, help="records of each kind in a file")
    parser.add_argument("--kinds", nargs="*", default=KINDS, help="groups to keep")
    arguments = parser.parse_args()
    chosen = []
    for path in arguments.inputs:
        records = records_of(path)
        for kind in arguments.kinds:
            found = [record for record in records if record["group"] == kind]
            spread = np.linspace(0, len(found) - 1, min(arguments.limit, len(found)))
            chosen += [found[index] for index in np.unique(spread.astype(int))]
    with gzip.GzipFile(arguments.output, "wb", mtime=0) as file:
        file.write(json.dumps(chosen, separators=(",", ":")).encode())


if __name__ == "__main__":
    main()

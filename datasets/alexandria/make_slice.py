"""Puts crystals with stress into the layout of Alexandria's geometry optimizations.

python make_slice.py alex_go_OUTPUT.json.bz2 INPUT.xyz [--limit 100]
python make_slice.py alexandria_OUTPUT.json.bz2 INPUT.json.bz2 [--limit 100]

The first input is the extended XYZ file of MatterSim's benchmarks, with the stress in eV/A^3,
positive under tension; the second a file of hull entries, of which some are copied.
"""

import argparse
import bz2
import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

from hydracalc import units
from hydracalc.readers.crystals import write_crystal
from hydracalc.readers.json_stream import stream_list


def step(atoms: ase.Atoms) -> dict[str, Any]:
    """One step of an optimization as published: stress in kBar, compression positive."""
    return {
        "structure": write_crystal(atoms.numbers, atoms.positions, atoms.cell.array),
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces().tolist(),
        "stress": (-atoms.get_stress(voigt=False) / units.KILOBAR).round(9).tolist(),
    }


def spread(items: list, limit: int) -> list:
    """Up to `limit` of the items, evenly spread."""
    return [items[i] for i in np.linspace(0, len(items) - 1, min(limit, len(items))).astype(int)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("input", type=Path)
    parser.add_argument("--limit", type=int, default=10**9)
    arguments = parser.parse_args()
    if arguments.input.suffix == ".xyz":
        frames = spread(list(ase.io.iread(arguments.input, format="extxyz")), arguments.limit)
        content: dict[str, Any] = {}
        for atoms in frames:
            calculations = content.setdefault(atoms.info["alexandria_id"], [{"steps": []}])
            calculations[0]["steps"].append(step(atoms))
    else:
        entries = list(stream_list(arguments.input, "entries"))
        content = {"entries": spread(entries, arguments.limit)}
    text = json.dumps(content, separators=(",", ":")).encode()
    arguments.output.write_bytes(bz2.compress(text))


if __name__ == "__main__":
    main()

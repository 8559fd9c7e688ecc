"""Puts MPtrj frames into the layout of MPtrj_2022.9_full.json.

python make_slice.py OUTPUT.json.gz INPUT [INPUT ...] --limit 100

An input is a JSON file in that layout, whose frames are copied, or an extended XYZ file of
MatterSim's benchmarks, whose energies are uncorrected and whose stress is in eV/A^3, positive
under tension.
"""

import argparse
import gzip
import json
from pathlib import Path

import ase.io
import numpy as np

from hydracalc import units
from hydracalc.readers.crystals import write_crystal
from hydracalc.readers.json_stream import stream_mapping

Frames = list[tuple[str, str, dict]]


def frames_of(path: Path) -> Frames:
    """Material, name and labels of every frame as published."""
    if path.suffix != ".xyz":
        return [(m, n, frame) for m, frames in stream_mapping(path) for n, frame in frames.items()]
    return [
        (
            atoms.info["mptrj_traj_id"],
            atoms.info["mptrj_snapshot_id"],
            {
                "structure": write_crystal(atoms.numbers, atoms.positions, atoms.cell.array),
                "uncorrected_total_energy": atoms.get_potential_energy(),
                "force": atoms.get_forces().tolist(),
                "stress": (-atoms.get_stress(voigt=False) / units.KILOBAR).round(9).tolist(),
            },
        )
        for atoms in ase.io.iread(path, format="extxyz")
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=10**9)
    arguments = parser.parse_args()
    frames = [frame for path in arguments.inputs for frame in frames_of(path)]
    materials: dict[str, dict[str, dict]] = {}
    for index in np.linspace(0, len(frames) - 1, min(arguments.limit, len(frames))).astype(int):
        material, name, frame = frames[index]
        materials.setdefault(material, {}).setdefault(name, frame)
    with gzip.GzipFile(arguments.output, "wb", mtime=0) as file:
        file.write(json.dumps(materials, separators=(",", ":")).encode())


if __name__ == "__main__":
    main()

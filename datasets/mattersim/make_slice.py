"""Compresses the published extended XYZ files, all frames or some, their text unchanged.

python make_slice.py FOLDER INPUT.xyz [INPUT.xyz ...] --limit 100 [--pairs 4]

Pairs are snapshots of one material shortly after another; they come on top of the limit.
"""

import argparse
import gzip
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np

from hydracalc.checks.close_pairs import close_pairs
from hydracalc.structure import from_atoms


def frames_of(text: str) -> list[str]:
    """The text of every frame: the number of atoms, the comment, one line per atom."""
    lines = text.splitlines(keepends=True)
    frames = []
    while lines:
        length = int(lines[0]) + 2
        frames.append("".join(lines[:length]))
        lines = lines[length:]
    return frames


def close(path: Path, number: int) -> list[int]:
    """Indices of the members of `number` pairs of nearly equal snapshots, evenly spread."""
    structures = [
        replace(from_atoms(atoms), energy=atoms.get_potential_energy(), forces=atoms.get_forces())
        for atoms in ase.io.iread(path, format="extxyz")
    ]
    pairs = close_pairs(structures).indices
    return pairs[np.linspace(0, len(pairs) - 1, number).astype(int)].ravel().tolist()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=10**9)
    parser.add_argument("--pairs", type=int, default=0)
    arguments = parser.parse_args()
    for path in arguments.inputs:
        frames = frames_of(path.read_text())
        chosen = np.linspace(0, len(frames) - 1, min(arguments.limit, len(frames))).astype(int)
        kept = sorted({*chosen.tolist(), *close(path, arguments.pairs)})
        with gzip.GzipFile(arguments.folder / f"{path.name}.gz", "wb", mtime=0) as file:
            file.write("".join(frames[i] for i in kept).encode())


if __name__ == "__main__":
    main()

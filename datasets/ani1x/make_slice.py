"""Cuts a few conformations out of files in the layout of ani1x-release.h5.

python make_slice.py OUTPUT.h5 --limit 100 [--pairs 9] INPUT.h5 [INPUT.h5 ...]

Only the labels that the adapter reads are kept. A conformation that several inputs hold is taken
from the first. Pairs of nearly equal conformations, of which there are few, come on top.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np

from hydracalc.checks.close_pairs import close_pairs
from hydracalc.structure import AtomicStructure

KEYS = ("coordinates", "wb97x_dz.energy", "wb97x_dz.forces")


def collect(inputs: list[Path], limit: int, pairs: int) -> dict[str, dict[str, list[np.ndarray]]]:
    """Formula to its conformations: some pairs, others evenly spread over the inputs."""
    seen: set[bytes] = set()
    rows = []
    for path in inputs:
        with h5py.File(path) as file:
            for formula, molecule in file.items():
                arrays = [molecule[key][:] for key in KEYS]
                for row in zip(*arrays, strict=True):
                    if row[0].tobytes() not in seen:
                        seen.add(row[0].tobytes())
                        rows.append((formula, molecule["atomic_numbers"][:], row))
    molecules: dict[str, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    spread = np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int)
    for index in sorted({*spread.tolist(), *close(rows, pairs)}):
        formula, numbers, row = rows[index]
        molecules[formula]["atomic_numbers"] = numbers
        for key, value in zip(KEYS, row, strict=True):
            molecules[formula][key].append(value)
    return molecules


def close(rows: list[tuple[str, np.ndarray, tuple]], number: int) -> list[int]:
    """Indices of the members of up to `number` pairs of nearly equal conformations."""
    structures = [
        AtomicStructure(
            atomic_numbers=numbers, positions=row[0], energy=float(row[1]), forces=row[2]
        )
        for _, numbers, row in rows
    ]
    return close_pairs(structures).indices[:number].ravel().tolist()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=10**9)
    parser.add_argument("--pairs", type=int, default=0)
    arguments = parser.parse_args()
    molecules = collect(arguments.inputs, arguments.limit, arguments.pairs)
    with h5py.File(arguments.output, "w", libver="latest") as file:
        for formula, arrays in sorted(molecules.items()):
            for key, values in arrays.items():
                data = np.array(values)
                packed = {"compression": 9, "shuffle": True} if data.size > 100 else {}
                file.create_dataset(f"{formula}/{key}", data=data, **packed)


if __name__ == "__main__":
    main()

"""Cuts a few conformations out of files in the layout of ani1x-release.h5.

python make_slice.py OUTPUT.h5 --limit 100 INPUT.h5 [INPUT.h5 ...]

Only the labels that the adapter reads are kept. A conformation that several inputs hold is taken
from the first.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np

KEYS = ("coordinates", "wb97x_dz.energy", "wb97x_dz.forces")


def collect(inputs: list[Path], limit: int) -> dict[str, dict[str, list[np.ndarray]]]:
    """Formula to its conformations, evenly spread over the inputs."""
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
    for index in np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int):
        formula, numbers, row = rows[index]
        molecules[formula]["atomic_numbers"] = numbers
        for key, value in zip(KEYS, row, strict=True):
            molecules[formula][key].append(value)
    return molecules


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=10**9)
    arguments = parser.parse_args()
    with h5py.File(arguments.output, "w", libver="latest") as file:
        for formula, arrays in sorted(collect(arguments.inputs, arguments.limit).items()):
            for key, values in arrays.items():
                data = np.array(values)
                packed = {"compression": 9, "shuffle": True} if data.size > 100 else {}
                file.create_dataset(f"{formula}/{key}", data=data, **packed)


if __name__ == "__main__":
    main()

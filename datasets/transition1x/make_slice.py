"""Cuts a few reactions out of a file in the layout of Transition1x.h5.

python make_slice.py OUTPUT.h5 INPUT.h5 --limit 20
"""

import argparse
from pathlib import Path

import h5py
import numpy as np


def reactions(file: h5py.File) -> list[str]:
    """Names of all reactions that hold a path."""
    return [
        f"data/{formula}/{reaction}"
        for formula, group in file["data"].items()
        for reaction in group
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("input", type=Path)
    parser.add_argument("--limit", type=int, default=10**9)
    arguments = parser.parse_args()
    with (
        h5py.File(arguments.input) as source,
        h5py.File(arguments.output, "w", libver="latest") as target,
    ):
        names = reactions(source)
        for index in np.linspace(0, len(names) - 1, min(arguments.limit, len(names))).astype(int):
            for key, dataset in source[names[index]].items():
                if isinstance(dataset, h5py.Dataset):
                    target[f"{names[index]}/{key}"] = dataset[:]


if __name__ == "__main__":
    main()

"""Cuts frames out of the published npz files.

python make_slice.py FOLDER INPUT.npz [INPUT.npz ...] --limit 300

The frames of the inputs are in random order, so the first ones are a random choice.
"""

import argparse
from pathlib import Path

import numpy as np

PER_FRAME = ("coords", "energies", "forces", "old_indices")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=300)
    arguments = parser.parse_args()
    for path in arguments.inputs:
        with np.load(path) as arrays:
            cut = {key: arrays[key][: arguments.limit] for key in PER_FRAME}
            cut["nuclear_charges"] = arrays["nuclear_charges"]
        molecule = path.stem.split("_")[1]
        np.savez_compressed(arguments.folder / f"rmd17_{molecule}.npz", **cut)


if __name__ == "__main__":
    main()

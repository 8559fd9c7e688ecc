"""Adds displaced copies to the smallest molecules of a labelled file, labelled in the same way.

    python neighbors.py transition1x_cut.h5

Paths of the file have one structure each; a displaced copy beside it lets forces be checked
against differences of energy.
"""

import sys

import h5py
import numpy as np
from label import THEORY, label

MOLECULES = 6
COPIES = 2
DISPLACEMENT = 0.03  # Angstrom, standard deviation of every coordinate


def main(target: str) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(target, "r+") as file:
        reactions = [file[f"data/{f}/{r}"] for f in file["data"] for r in file[f"data/{f}"]]
        for reaction in sorted(reactions, key=lambda r: len(r["atomic_numbers"]))[:MOLECULES]:
            numbers, start = reaction["atomic_numbers"][:], reaction["positions"][0]
            rows = {key: list(reaction[key][:]) for key in reaction if key != "atomic_numbers"}
            for _ in range(COPIES):
                positions = start + rng.normal(0, DISPLACEMENT, start.shape)
                converged, energy, forces = label(numbers, positions)
                print(reaction.name, converged, energy - rows[f"{THEORY}.energy"][0], flush=True)
                if converged:
                    rows["positions"].append(positions)
                    rows[f"{THEORY}.energy"].append(energy)
                    rows[f"{THEORY}.forces"].append(forces)
            for key, values in rows.items():
                dtype = reaction[key].dtype
                del reaction[key]
                reaction[key] = np.array(values, dtype=dtype)


if __name__ == "__main__":
    main(*sys.argv[1:])

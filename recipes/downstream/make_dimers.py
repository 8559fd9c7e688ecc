"""Pairs of small molecules at many distances, made from the S22 geometries that come with ASE.

    python make_dimers.py OUT.extxyz

Each pair of at most 17 atoms [10.1039/B600027D] is moved apart or together along the line of its
centers of mass, one molecule is turned a little, and all atoms are displaced a little.
"""

import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.data.s22 import create_s22_system, get_number_of_dimer_atoms, s22

COPIES = 12
MOST_ATOMS = 17
STRETCH = (0.92, 1.8)  # of the distance of the centers of mass; dense at the short end
TURN = 15.0  # degrees
RATTLE = 0.04  # Angstrom
SHORTEST = 1.35  # Angstrom, between atoms of the two molecules


def moved(pair: Atoms, first: int, rng: np.random.Generator) -> Atoms:
    """The pair at another distance, and a little disordered.

    Args:
        pair: of molecules.
        first: atoms of the first one.
        rng: of all that is drawn.
    """
    one, other = pair[:first], pair[first:]
    apart = other.get_center_of_mass() - one.get_center_of_mass()
    while True:
        part = other.copy()
        part.rotate(rng.normal(0, TURN), rng.normal(size=3), center="COM")
        low, high = STRETCH
        part.positions += apart * (low - 1 + (high - low) * rng.random() ** 2)
        made = one + part
        made.positions += rng.normal(0, RATTLE, made.positions.shape)
        between = made.positions[:first, None] - made.positions[None, first:]
        if np.linalg.norm(between, axis=-1).min() > SHORTEST:
            return made


def main(path: Path) -> None:
    """Write all pairs to a file."""
    rng = np.random.default_rng(22)
    frames = []
    for name in s22:
        pair = create_s22_system(name)
        if len(pair) <= MOST_ATOMS:
            first = get_number_of_dimer_atoms(name)[0]
            frames += [moved(pair, first, rng) for _ in range(COPIES)]
    path.parent.mkdir(parents=True, exist_ok=True)
    ase.io.write(path, frames, format="extxyz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

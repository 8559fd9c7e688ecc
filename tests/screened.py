"""Structures to screen."""

import numpy as np
from ase.build import bulk, molecule

NAMES = ("H2O", "CH3OH", "NH3", "CH4", "C2H6")


def make_structures(count, seed=0):
    """Molecules and crystals in turn, all of known elements."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        atoms = bulk("Si", cubic=True) if number % 3 == 0 else molecule(NAMES[number % 5])
        atoms.rattle(0.05, rng=rng)
        found.append(atoms)
    return found

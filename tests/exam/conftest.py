"""Small structures of two elements, and which items a calculator fails with them."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111

from hydracalc.exam.examine import ITEMS, ExamConfig, examine
from hydracalc.exam.findings import FAILED

MOLECULE = [[0, 0, 0], [1.3, 0.1, 0], [0.2, 1.4, 0], [0.1, 0.2, 1.35], [1.7, 1.6, 1.3]]


@pytest.fixture
def structures():
    """A molecule, a crystal and a slab, without symmetry, for tests/subjects.py."""
    crystal = bulk("Ar", "fcc", a=3.1, cubic=True) * (2, 1, 1)
    slab = fcc111("Al", (2, 2, 2), a=3.1, vacuum=6.0)
    slab.pbc = (True, True, False)
    slab.symbols[:] = "Ar"
    crystal.symbols[3] = slab.symbols[0] = "Ne"
    made = [Atoms("Ne4Ar", MOLECULE), crystal, slab]
    rng = np.random.default_rng(0)
    for atoms in made:
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
    return made


@pytest.fixture
def run(structures):
    """The exam of a calculator, without what is said not to be examined."""

    def examined(calculator, *, without=(), only=tuple(ITEMS)):
        items = [item for item in only if item not in without]
        return examine(calculator, ExamConfig(items=items, structures=structures))

    return examined


@pytest.fixture
def failed(run):
    """Items that a calculator fails; dynamics, the slowest, are examined in test_drift.py."""
    return lambda calculator: set(run(calculator, without=["nve"]).names(FAILED))

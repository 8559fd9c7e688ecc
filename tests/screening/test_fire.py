"""FIRE side by side takes the steps that ASE's FIRE takes one by one."""

import numpy as np
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.optimize import FIRE

from hydracalc.screening.fire import Fire


def structures():
    found = []
    for seed, atoms in enumerate([bulk("Cu", cubic=True) * (2, 1, 1), molecule("CO"), bulk("Al")]):
        # the last is at rest by symmetry: no force, no step
        atoms.rattle(0.15, rng=np.random.default_rng(seed))
        atoms.calc = EMT()
        found.append(atoms)
    return found


def by_ase(atoms, steps):
    optimizer = FIRE(atoms, logfile=None)
    path = []
    for _ in range(steps):
        optimizer.step()
        path.append(atoms.positions.copy())
    return path


def test_every_step_is_ases_for_structures_that_enter_and_leave():
    one_by_one = [by_ase(atoms, 60) for atoms in structures()]
    together, fire, taken = structures(), Fire(), [0, 0, 0]
    inside = [0, 1]
    for number in inside:
        fire.enter(len(together[number]))
    for step in range(60):
        if step == 20:  # one leaves, another takes its place
            fire.leave(np.array([True, False]))
            fire.enter(len(together[2]))
            inside = [0, 2]
        moves = fire.move(np.concatenate([together[n].get_forces() for n in inside]))
        for number, move in zip(inside, np.split(moves, np.cumsum(fire.sizes)[:-1]), strict=True):
            together[number].positions += move
            expected = one_by_one[number][taken[number]]
            np.testing.assert_allclose(together[number].positions, expected, atol=1e-9)
            taken[number] += 1
    assert taken == [60, 20, 40]

"""A kept neighbor list gives what a fresh one gives, at every step."""

import numpy as np
import pytest
from ase.build import bulk
from pairs import CUTOFF

from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.graphs.verlet import VerletList

SKIN = 0.6


def assert_equal(kept, fresh):
    np.testing.assert_array_equal(kept.receivers, fresh.receivers)
    np.testing.assert_array_equal(kept.senders, fresh.senders)
    np.testing.assert_array_equal(kept.cell_shifts, fresh.cell_shifts)


def test_every_step_of_a_random_walk_equals_a_fresh_list(atoms):
    """Atoms leave the cell on the way and are never wrapped."""
    rng = np.random.default_rng(4)
    verlet = VerletList(CUTOFF, SKIN)
    cell, positions = atoms.cell.array, atoms.positions.copy()
    for _ in range(40):
        positions += rng.normal(0, 0.03, positions.shape) + 0.05
        fresh = neighbor_list(positions, cell, atoms.pbc, CUTOFF)
        assert_equal(verlet.edges(positions, cell, atoms.pbc), fresh)
    assert 1 < verlet.num_rebuilds < 20


def test_every_step_of_a_deforming_crystal_equals_a_fresh_list():
    rng = np.random.default_rng(5)
    verlet = VerletList(CUTOFF, SKIN)
    crystal = bulk("Cu", cubic=True)
    crystal.rattle(0.05, seed=1)
    for _ in range(60):
        strain = np.eye(3) + rng.normal(0, 0.02, (3, 3))
        crystal.set_cell(crystal.cell.array @ strain, scale_atoms=True)
        crystal.positions += rng.normal(0, 0.005, crystal.positions.shape)
        where = (crystal.positions, crystal.cell.array, crystal.pbc)
        assert_equal(verlet.edges(*where), neighbor_list(*where, CUTOFF))
    assert 1 < verlet.num_rebuilds < 40


def test_the_worst_approach_within_half_a_skin_is_seen():
    """Two atoms that start just outside cutoff + skin and come straight at each other."""
    pair = np.array([[0.0, 0, 0], [0, 0, CUTOFF + SKIN + 1e-9]])
    verlet = VerletList(CUTOFF, SKIN)
    where = (np.zeros((3, 3)), np.zeros(3, dtype=bool))
    assert len(verlet.edges(pair, *where)) == 0
    closer = pair + np.array([[0, 0, 1], [0, 0, -1]]) * (SKIN / 2 - 1e-9)
    assert len(verlet.edges(closer, *where)) == 0
    assert verlet.num_rebuilds == 1
    closer += np.array([[0, 0, 1], [0, 0, -1]]) * 1e-8
    assert len(verlet.edges(closer, *where)) == 2
    assert verlet.num_rebuilds == 2


def test_a_shrinking_cell_brings_neighbors_that_were_out_of_reach():
    """Atoms fixed in fractional coordinates do not count as moved, but the strain does."""
    verlet = VerletList(CUTOFF, SKIN)
    lone = np.zeros((1, 3))
    periodic = np.ones(3, dtype=bool)
    edge = CUTOFF + SKIN + 0.01
    for length in (edge, edge * 0.97, edge * 0.92, edge * 0.88):
        edges = verlet.edges(lone, np.eye(3) * length, periodic)
        assert_equal(edges, neighbor_list(lone, np.eye(3) * length, periodic, CUTOFF))
    assert len(edges) == 6
    assert verlet.num_rebuilds == 2


@pytest.mark.parametrize("change", ["pbc", "atoms", "cell of a slab"])
def test_another_structure_gets_another_list(change):
    crystal = bulk("Cu", cubic=True)
    if change == "cell of a slab":
        crystal.pbc = (True, True, False)
    verlet = VerletList(CUTOFF, SKIN)
    verlet.edges(crystal.positions, crystal.cell.array, crystal.pbc)
    if change == "pbc":
        crystal.pbc = (True, True, False)
    elif change == "atoms":
        del crystal[0]
    else:
        crystal.cell[0, 0] += 1e-3
    where = (crystal.positions, crystal.cell.array, crystal.pbc)
    assert_equal(verlet.edges(*where), neighbor_list(*where, CUTOFF))
    assert verlet.num_rebuilds == 2


def test_positions_changed_in_place_are_noticed():
    crystal = bulk("Si", cubic=True)
    verlet = VerletList(CUTOFF, SKIN)
    where = (crystal.positions, crystal.cell.array, crystal.pbc)
    verlet.edges(*where)
    crystal.positions[0] += 1.0
    assert_equal(verlet.edges(*where), neighbor_list(*where, CUTOFF))


def test_without_a_skin_every_list_is_fresh():
    crystal = bulk("Si", cubic=True)
    verlet = VerletList(CUTOFF, 0.0)
    for _ in range(3):
        crystal.positions[0] += 0.01
        where = (crystal.positions, crystal.cell.array, crystal.pbc)
        assert_equal(verlet.edges(*where), neighbor_list(*where, CUTOFF))
    assert verlet.num_rebuilds == 3


def test_a_broken_structure_is_refused_and_forgotten():
    crystal = bulk("Si", cubic=True)
    where = (crystal.positions.copy(), crystal.cell.array, crystal.pbc)
    verlet = VerletList(CUTOFF, SKIN)
    verlet.edges(*where)
    crystal.positions[0] = np.nan
    with pytest.raises(ValueError, match="positions of atom 0"):
        verlet.edges(crystal.positions, crystal.cell.array, crystal.pbc)
    assert_equal(verlet.edges(*where), neighbor_list(*where, CUTOFF))


@pytest.mark.parametrize("skin", [-0.1, np.nan, np.inf])
def test_a_skin_is_zero_or_more(skin):
    with pytest.raises(ValueError, match="skin is"):
        VerletList(CUTOFF, skin)

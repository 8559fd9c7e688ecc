"""Profiles do not see what makes no difference, and see a small displacement as small."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from hydracalc.ingest.radial_profile import (
    atom_profiles,
    disturbed,
    matched_distance,
    mean_profile,
)
from hydracalc.labelling.md_snapshots import as_atoms
from hydracalc.structure import from_atoms


def rattled(atoms, sigma, seed):
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(seed).normal(0, sigma, atoms.positions.shape)
    return from_atoms(atoms)


SALT = bulk("NaCl", "rocksalt", a=5.6) * (1, 2, 1)
STRUCTURES = {
    "ethanol": rattled(molecule("CH3CH2OH"), 0.05, 0),
    "salt": rattled(SALT, 0.05, 1),
    "copper": from_atoms(bulk("Cu")),
}


def profile(structure):
    return mean_profile(atom_profiles(structure), structure.atomic_numbers)


def distances(one, other):
    """Of mean profiles, and of matched atoms."""
    numbers = (one.atomic_numbers, other.atomic_numbers)
    matched = matched_distance(atom_profiles(one), atom_profiles(other), numbers)
    return float(np.linalg.norm(profile(one) - profile(other))), matched


def turned(structure):
    atoms = as_atoms(structure)
    atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    return from_atoms(atoms[np.random.default_rng(0).permutation(len(atoms))])


@pytest.mark.parametrize("name", STRUCTURES)
def test_rotation_and_order_do_not_matter(name):
    structure = STRUCTURES[name]
    size = np.linalg.norm(profile(structure))
    assert max(distances(structure, turned(structure))) < 1e-5 * size


@pytest.mark.parametrize("name", ["salt", "copper"])
def test_supercells_and_other_cells_do_not_matter(name):
    structure = STRUCTURES[name]
    repeated = from_atoms(as_atoms(structure) * (2, 1, 3))
    twice = from_atoms(as_atoms(structure) * (2, 1, 1))
    sheared = structure.cell.copy()
    sheared[0] += sheared[1] - 2 * sheared[2]
    sheared = replace(structure, cell=sheared)
    size = np.linalg.norm(profile(structure))
    for one, other in ((structure, repeated), (twice, repeated), (structure, sheared)):
        assert max(distances(one, other)) < 1e-5 * size


def test_the_mean_is_no_farther_than_the_atoms():
    """It may discard what cannot be near, before atoms are matched."""
    for seed in range(20):
        for base in (molecule("CH3CH2OH"), SALT):
            mean, matched = distances(rattled(base, 0.1, seed), rattled(base, 0.1, seed + 100))
            assert mean <= matched * (1 + 1e-6)


@pytest.mark.parametrize("name", ["ethanol", "salt"])
def test_distance_grows_with_displacement(name):
    structure = STRUCTURES[name]
    found = []
    for sigma in (0.005, 0.02, 0.08):
        positions, cell = disturbed(structure, sigma, np.random.default_rng(0))
        found.append(distances(structure, replace(structure, positions=positions, cell=cell))[1])
    assert found[0] < found[1] / 2 < found[2] / 4


def test_a_displacement_moves_atoms_and_lattice_points_by_its_size():
    structure = from_atoms(bulk("Cu", cubic=True) * 3)
    rng = np.random.default_rng(0)
    drawn = [disturbed(structure, 0.02, rng) for _ in range(40)]
    cells = np.array([cell - structure.cell for _, cell in drawn])
    assert cells.std() == pytest.approx(0.02, rel=0.2)
    positions, cell = drawn[0]
    inside = positions @ np.linalg.inv(cell) - structure.positions @ np.linalg.inv(structure.cell)
    assert (inside @ cell).std() == pytest.approx(0.02, rel=0.2)
    molecule_cell = disturbed(STRUCTURES["ethanol"], 0.02, rng)[1]
    assert not molecule_cell.any()


def test_nothing_jumps_at_the_cutoff_or_a_bin():
    """A neighbor that moves a little changes a profile a little, wherever it is."""
    for distance in np.linspace(0.3, 6.2, 300):
        pair = [
            profile(from_atoms(Atoms("Cu2", [[0, 0, 0], [d, 0, 0]])))
            for d in (distance, distance + 1e-6)
        ]
        assert np.linalg.norm(pair[1] - pair[0]) < 1e-4


def test_structures_of_incommensurate_sizes_are_not_matched():
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=(n, 1, 4)) for n in (1009, 1013))
    numbers = (np.ones(1009), np.ones(1013))
    assert matched_distance(one, other, numbers) == float("inf")

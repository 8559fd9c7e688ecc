"""Absolute scales: lengths of all bonds, force constants of those to hydrogen."""

from dataclasses import replace

import ase.units
import numpy as np
import pytest
from ase.build import bulk, molecule

from hydracalc.checks.bond_scales import STRETCHES, hydrogen_stretch, scaled_distances
from hydracalc.structure import AtomicStructure, from_atoms

HARTREE_PER_BOHR = ase.units.Hartree / ase.units.Bohr


def springs(name="CH3OH", scale=1.0, num=6):
    """Molecules whose hydrogens hang on springs of known force constants."""
    rng = np.random.default_rng(0)
    structures = []
    for _ in range(num):
        atoms = molecule(name)
        numbers, forces = atoms.numbers, np.zeros((len(atoms), 3))
        distances = atoms.get_all_distances()
        for hydrogen in np.flatnonzero(numbers == 1):
            heavy = int(np.argmin(np.where(numbers > 1, distances[hydrogen], np.inf)))
            along = atoms.positions[hydrogen] - atoms.positions[heavy]
            along /= np.linalg.norm(along)
            stretch = rng.normal(0, 0.02)
            atoms.positions[hydrogen] += stretch * along
            pull = -scale * STRETCHES[int(numbers[heavy])][2] * stretch * along
            forces[hydrogen] += pull
            forces[heavy] -= pull
        structures.append(
            AtomicStructure(atomic_numbers=numbers, positions=atoms.positions, forces=forces)
        )
    return structures


@pytest.mark.parametrize("name", ["CH4", "CH3OH", "NH3", "H2O", "H3CNH2"])
def test_the_force_constant_of_every_kind_of_bond_is_the_known_one(name):
    """Not exactly: equilibrium lengths differ a little within a molecule."""
    stretch = hydrogen_stretch(springs(name))
    assert stretch.ratio == pytest.approx(1, abs=0.08)
    assert stretch.correlation > 0.97
    assert stretch.uncertainty < 0.1


@pytest.mark.parametrize("factor", [-1, HARTREE_PER_BOHR, ase.units.Bohr])
def test_it_scales_with_the_forces(factor):
    stretch = hydrogen_stretch(springs(scale=factor))
    right = hydrogen_stretch(springs())
    assert stretch.ratio == pytest.approx(right.ratio * factor)
    assert stretch.correlation == pytest.approx(right.correlation * np.sign(factor))


def test_relaxed_bonds_have_no_correlation():
    """Their lengths differ by their surroundings, not by force."""
    relaxed = [replace(s, forces=np.zeros_like(s.forces)) for s in springs()]
    assert hydrogen_stretch(relaxed).correlation == 0


def test_without_bonds_there_is_none():
    assert hydrogen_stretch([]) is None
    assert hydrogen_stretch(springs("CO2")) is None
    assert hydrogen_stretch([replace(s, forces=None) for s in springs()]) is None


@pytest.mark.parametrize(
    "atoms", [molecule("C6H6"), molecule("H2O"), bulk("Cu"), bulk("NaCl", "rocksalt", a=5.64)]
)
def test_nearest_atoms_are_a_sum_of_covalent_radii_apart(atoms):
    distances = scaled_distances([from_atoms(atoms)])
    assert len(distances) == len(atoms)
    assert 0.8 < np.median(distances) < 1.15


def test_atoms_far_from_all_others_are_infinitely_far():
    apart = AtomicStructure(atomic_numbers=[1, 1], positions=[[0.0, 0, 0], [0, 0, 9]])
    assert np.isinf(scaled_distances([apart])).all()
    alone = AtomicStructure(atomic_numbers=[1], positions=[[0.0, 0, 0]])
    assert len(scaled_distances([alone])) == 0

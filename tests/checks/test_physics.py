"""Energy against work has slope 1 for exact labels, another for wrong units and signs."""

from dataclasses import replace

import ase.units
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential
from builders import labelled
from scipy.spatial.transform import Rotation

from hydracalc.checks.physics import energy_against_work

HARTREE_PER_BOHR = ase.units.Hartree / ase.units.Bohr


@pytest.fixture(scope="module")
def molecules():
    """Displaced, moved and turned ethanol in a Morse potential."""
    rng = np.random.default_rng(0)
    structures = []
    for _ in range(6):
        atoms = molecule("CH3CH2OH")
        atoms.positions += rng.normal(0, 0.02, (len(atoms), 3))
        atoms.positions = Rotation.random(rng=rng).apply(atoms.positions) + rng.normal(0, 5, 3)
        structures.append(
            labelled(atoms, MorsePotential(r0=1.2, epsilon=2, rcut1=8, rcut2=9), group="one")
        )
    return structures


@pytest.fixture(scope="module")
def crystals():
    """Strained and rattled copper."""
    rng = np.random.default_rng(1)
    structures = []
    for _ in range(8):
        atoms = bulk("Cu", cubic=True) * (1, 1, 2)
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0.03, 0.006, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.02, (len(atoms), 3)) + atoms.cell[1]
        structures.append(labelled(atoms, EMT(), stress=True, group="one"))
    return structures


def test_work_explains_the_energy_of_molecules(molecules):
    result = energy_against_work(molecules, max_displacement=0.3)
    assert result.num_points >= 3
    assert result.slope == pytest.approx(1, abs=0.05)
    assert result.correlation > 0.99


def test_work_of_forces_and_stress_explains_the_energy_of_crystals(crystals):
    result = energy_against_work(crystals, max_displacement=0.6)
    assert result.slope == pytest.approx(1, abs=0.05)
    assert result.correlation > 0.99


@pytest.mark.parametrize("factor", [-1, HARTREE_PER_BOHR, 1 / ase.units.Bohr, ase.units.kcal])
def test_wrong_forces_are_caught(molecules, factor):
    wrong = [replace(s, forces=s.forces * factor) for s in molecules]
    slope = energy_against_work(wrong, max_displacement=0.3).slope
    assert not 0.8 < slope < 1.25


@pytest.mark.parametrize("factor", [-1, 0.1, 10])
def test_wrong_stress_is_caught(crystals, factor):
    wrong = [replace(s, stress=s.stress * factor) for s in crystals]
    result = energy_against_work(wrong, max_displacement=0.6)
    assert not (0.8 < result.slope < 1.25 and result.correlation > 0.97)


def test_wrong_energies_are_caught(molecules):
    wrong = [replace(s, energy=s.energy / s.num_atoms) for s in molecules]
    assert not 0.8 < energy_against_work(wrong, max_displacement=0.3).slope < 1.25


def test_structures_of_different_groups_are_not_compared(molecules):
    apart = [replace(s, group=str(i)) for i, s in enumerate(molecules)]
    with pytest.raises(ValueError, match="0 pairs are closer than 0.3 A"):
        energy_against_work(apart, max_displacement=0.3)


def test_labels_are_needed(molecules):
    unlabelled = [replace(s, forces=None) for s in molecules]
    with pytest.raises(ValueError, match="has no forces"):
        energy_against_work(unlabelled, max_displacement=0.3)

"""A pair force fitted to forces predicts stress: unit, sign and order without close structures."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.morse import MorsePotential
from ase.data import atomic_numbers, covalent_radii
from builders import labelled

from hydracalc.checks.force_law import stress_from_forces

SHEAR = ((1, 2), (0, 2), (0, 1))  # yz xz xy
LATTICES = {"Cu": "fcc", "Fe": "bcc", "Si": "diamond", "Al": "fcc", "Na": "bcc", "Ge": "diamond"}
LATTICES |= {"Ag": "fcc", "W": "bcc", "Sn": "diamond", "Po": "sc"}


@pytest.fixture(scope="module")
def crystals():
    """Elements in various lattices, compressed, sheared and hot, in Morse potentials."""
    rng = np.random.default_rng(0)
    structures = []
    for symbol, lattice in LATTICES.items():
        bond = 2 * covalent_radii[atomic_numbers[symbol]]
        for compression in (0.75, 0.85):
            unit = bulk(symbol, lattice, a=1.0, cubic=True)
            atoms = unit * ((2, 1, 1) if len(unit) > 1 else (2, 2, 2))
            nearest = unit.repeat(2).get_all_distances(mic=False)[0][1:].min()
            strain = np.eye(3) + rng.normal(0, 0.02, (3, 3))
            atoms.set_cell(atoms.cell.array @ strain * compression * bond / nearest, True)
            atoms.positions += rng.normal(0, 0.05 * bond, atoms.positions.shape)
            calculator = MorsePotential(
                r0=bond, epsilon=0.5, rho0=3.0, rcut1=1.7 * bond, rcut2=1.9 * bond
            )
            structures.append(labelled(atoms, calculator, stress=True, group="one"))
    return structures


def turned(structure, turn):
    """As if the components of shear had been read in another order."""
    shear = np.roll([structure.stress[i, j] for i, j in SHEAR], turn)
    stress = np.diag(np.diag(structure.stress))
    for value, (i, j) in zip(shear, SHEAR, strict=True):
        stress[i, j] = stress[j, i] = value
    return replace(structure, stress=stress)


def test_forces_of_a_pair_potential_predict_its_stress(crystals):
    law = stress_from_forces(crystals)
    assert law.num_structures == len(crystals)
    assert law.num_compositions == len(LATTICES)
    assert law.force_correlation > 0.95
    assert law.alignment > 0.85
    assert law.ratio == pytest.approx(1, abs=0.2)
    assert law.shear_alignments[0] > 0.85
    assert max(law.shear_alignments[1:]) < 0.3
    assert law.uncertainty < 0.1


@pytest.mark.parametrize("factor", [-1.0, 10.0, 0.1])
def test_a_wrong_unit_or_sign_of_stress_shows(crystals, factor):
    right = stress_from_forces(crystals)
    wrong = stress_from_forces([replace(s, stress=s.stress * factor) for s in crystals])
    assert wrong.ratio == pytest.approx(right.ratio * abs(factor))
    assert wrong.alignment == pytest.approx(right.alignment * np.sign(factor))


def test_pressure_alone_changes_nothing(crystals):
    right = stress_from_forces(crystals)
    pressed = stress_from_forces([replace(s, stress=s.stress - 2 * np.eye(3)) for s in crystals])
    assert pressed.alignment == pytest.approx(right.alignment, abs=0.05)


@pytest.mark.parametrize("turn", [1, 2])
def test_another_order_of_shear_components_fits_where_it_was_turned_to(crystals, turn):
    law = stress_from_forces([turned(s, turn) for s in crystals])
    assert np.argmax(law.shear_alignments) == turn
    assert law.shear_alignments[0] < 0.3


def test_crystals_without_forces_or_stress_teach_nothing(crystals):
    assert stress_from_forces([]) is None
    assert stress_from_forces(crystals[:4]) is None
    assert stress_from_forces([replace(s, stress=None) for s in crystals]) is None
    assert stress_from_forces([replace(s, forces=0 * s.forces) for s in crystals]) is None
    assert stress_from_forces([replace(s, stress=np.eye(3)) for s in crystals]) is None

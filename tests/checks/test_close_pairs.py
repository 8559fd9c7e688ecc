"""Pairs of nearly equal structures: which are found, and what their energies say of the labels."""

from dataclasses import replace

import ase.units
import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.morse import MorsePotential
from builders import labelled
from scipy.spatial.transform import Rotation

from hydracalc.checks.close_pairs import PARTS, close_pairs, regress

FORCES, NORMAL, SHEAR = PARTS


def morse(atoms):
    return labelled(atoms, MorsePotential(r0=1.2, epsilon=2, rcut1=8, rcut2=9), group="one")


@pytest.fixture(scope="module")
def molecules():
    """Displaced, moved and turned ethanol."""
    rng = np.random.default_rng(0)
    structures = []
    for _ in range(8):
        atoms = molecule("CH3CH2OH")
        atoms.positions += rng.normal(0, 0.02, (len(atoms), 3))
        atoms.positions = Rotation.random(rng=rng).apply(atoms.positions) + rng.normal(0, 5, 3)
        structures.append(morse(atoms))
    return structures


@pytest.fixture(scope="module")
def crystals():
    """Strained, sheared and rattled copper, atoms in other cells than before."""
    rng = np.random.default_rng(1)
    structures = []
    for _ in range(16):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.01, 0.012, (3, 3))), True)
        atoms.positions += rng.normal(0, 0.02, (len(atoms), 3))
        atoms.positions += rng.integers(-1, 2, (len(atoms), 3)) @ atoms.cell.array
        structures.append(labelled(atoms, EMT(), stress=True, group="one"))
    return structures


def turned_round(stress):
    """As if yz xz xy had been read as xy yz xz."""
    yz, xz, xy = stress[1, 2], stress[0, 2], stress[0, 1]
    return np.diag(np.diag(stress)) + np.array([[0, yz, xy], [yz, 0, xz], [xy, xz, 0]])


def test_forces_of_molecules_explain_their_energies(molecules):
    coefficients = regress(close_pairs(molecules))
    assert set(coefficients) == {FORCES}
    assert coefficients[FORCES].value == pytest.approx(1, abs=0.03)
    assert coefficients[FORCES].uncertainty < 0.02
    assert coefficients[FORCES].num_pairs > 4


def test_forces_and_both_parts_of_stress_explain_the_energies_of_crystals(crystals):
    coefficients = regress(close_pairs(crystals))
    for part in PARTS:
        assert coefficients[part].value == pytest.approx(1, abs=0.05), part


@pytest.mark.parametrize("factor", [-1.0, ase.units.Bohr, 1 / ase.units.Bohr, 10.0, 0.1])
def test_a_wrong_part_is_told_from_right_ones(crystals, factor):
    wrong_stress = regress(close_pairs([replace(s, stress=s.stress * factor) for s in crystals]))
    assert wrong_stress[FORCES].value == pytest.approx(1, abs=0.2)
    assert wrong_stress[NORMAL].value == pytest.approx(1 / factor, rel=0.1)
    assert wrong_stress[SHEAR].value == pytest.approx(1 / factor, rel=0.1)
    wrong_forces = regress(close_pairs([replace(s, forces=s.forces * factor) for s in crystals]))
    assert wrong_forces[FORCES].value == pytest.approx(1 / factor, rel=0.2)
    assert wrong_forces[NORMAL].value == pytest.approx(1, abs=0.1)


def test_another_order_of_shear_components_is_seen_in_the_shear_alone(crystals):
    wrong = [replace(s, stress=turned_round(s.stress)) for s in crystals]
    coefficients = regress(close_pairs(wrong))
    assert coefficients[SHEAR].value < 0.7
    assert coefficients[NORMAL].value == pytest.approx(1, abs=0.1)


def test_some_pairs_on_another_state_do_not_decide(molecules, crystals):
    """A magnetic state that flips during a relaxation shifts energies by an electronvolt."""
    flipped = [replace(s, energy=s.energy + 1.0) for s in crystals[:2]]
    coefficients = regress(close_pairs([*flipped, *crystals[2:]]))
    assert coefficients[NORMAL].value == pytest.approx(1, abs=0.05)
    assert coefficients[SHEAR].value == pytest.approx(1, abs=0.05)


def test_only_near_structures_of_the_same_atoms_charge_and_spin_are_compared(molecules):
    first, second, *_ = molecules
    far = replace(second, positions=second.positions * 1.5)
    others = [replace(second, total_charge=1), replace(second, spin_multiplicity=3), far]
    assert len(close_pairs([first, second])) == 1
    for other in others:
        assert len(close_pairs([first, other])) == 0
    assert close_pairs([others[0], first, others[1], second]).indices.tolist() == [[1, 3]]


def test_mirror_images_are_no_neighbors(molecules):
    mirrored = replace(molecules[0], positions=molecules[0].positions * [1, 1, -1])
    distinct = [molecules[0], replace(molecules[0], energy=0.0)]
    assert len(close_pairs(distinct)) == 1
    # ethanol is its own mirror image but for which hydrogen is which
    assert len(close_pairs([molecules[0], mirrored])) == 0


def test_unlabelled_structures_are_left_out(molecules):
    first, second, *_ = molecules
    assert len(close_pairs([first, replace(second, forces=None)])) == 0
    assert len(close_pairs([first, replace(second, energy=None)])) == 0
    assert regress(close_pairs([])) == {}


def test_slabs_are_compared_through_their_periodic_borders():
    rng = np.random.default_rng(2)
    structures = []
    for shift in (0, 1, 0, -1, 0, 1):
        slab = fcc111("Al", (2, 2, 2), vacuum=6.0)
        slab.pbc = (True, True, False)
        slab.positions += rng.normal(0, 0.03, slab.positions.shape) + shift * slab.cell[0]
        structures.append(labelled(slab, EMT(), group="one"))
    coefficient = regress(close_pairs(structures))[FORCES]
    assert coefficient.value == pytest.approx(1, abs=0.05)
    assert coefficient.num_pairs >= 5


def test_wires_without_lattice_vectors_across_are_compared():
    structures = []
    for stretch in (0.0, 0.02, 0.04):
        atoms = molecule("C2H2")
        atoms.rotate(90, "y")
        atoms.positions[0] += stretch
        atoms.pbc, atoms.cell = (True, False, False), [[9.0, 0, 0], [0, 0, 0], [0, 0, 0]]
        labels = morse(molecule("C2H2"))
        structures.append(
            replace(labels, positions=atoms.positions, cell=atoms.cell.array, pbc=atoms.pbc)
        )
    assert len(close_pairs(structures)) == 3

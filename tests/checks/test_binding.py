"""Energies of free atoms, and what molecules and crystals are bound by."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from builders import make_card

from hydracalc import units
from hydracalc.checks.binding import binding_ratios, cohesive_energies, free_atom
from hydracalc.structure import AtomicStructure

# atomization energies from the bottom of the well, eV (experiment without zero-point energy)
ATOMIZATION = {"CH4": 18.2, "C2H6": 30.8, "C6H6": 59.2, "H2O": 10.1, "NH3": 12.9, "CO2": 16.9}


def labelled(atoms, energy, **changes):
    return AtomicStructure(
        atomic_numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=atoms.pbc,
        energy=energy,
        **changes,
    )


def total(name):
    atoms = molecule(name)
    return labelled(atoms, sum(free_atom(z) for z in atoms.numbers) - ATOMIZATION[name])


def test_the_expansion_for_heavy_atoms_continues_the_table():
    """Hartree-Fock energies of potassium and bromine, Hartree."""
    assert free_atom(19) / units.HARTREE == pytest.approx(-599.16, rel=6e-3)
    assert free_atom(35) / units.HARTREE == pytest.approx(-2572.44, rel=6e-3)
    energies = [free_atom(z) for z in range(1, 100)]
    assert all(np.diff(energies) < 0)


@pytest.mark.parametrize("name", ATOMIZATION)
def test_molecules_are_bound_as_expected(name):
    card = make_card("own", ("H", "C", "N", "O"))
    assert binding_ratios([total(name)], card)[0] == pytest.approx(1, abs=0.01)  # error forgiven
    formation = card.model_copy(update={"energy_kind": "formation"})
    bound = labelled(molecule(name), -ATOMIZATION[name])
    assert binding_ratios([bound], formation)[0] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("factor", [units.RYDBERG / units.HARTREE, 27.2, 1e-3])
def test_a_wrong_unit_of_total_energies_is_far_off(factor):
    card = make_card("own", ("H", "C"))
    wrong = labelled(molecule("CH4"), total("CH4").energy * factor)
    assert abs(binding_ratios([wrong], card)[0] - 1) > 10


def test_atoms_of_the_card_go_before_those_of_the_table():
    atoms = {"H": -1.0, "C": -100.0, "Xe": -300.0}
    card = make_card("own", ("H", "C", "Xe"))
    heavy = molecule("CH4")
    heavy.numbers[0] = 54
    structure = labelled(heavy, -304.0 - 13.7)
    assert len(binding_ratios([structure], card)) == 0  # effective core potential, or none?
    known = card.model_copy(update={"isolated_atoms": atoms})
    assert binding_ratios([structure], known)[0] == pytest.approx(13.7 / (2.5 + 4 * 2.8))


def test_crystals_are_relative_to_the_atoms_of_the_card_or_to_nothing():
    card = make_card("own", ("Cu", "Al"))
    copper = labelled(bulk("Cu", cubic=True), -16.0)
    assert cohesive_energies([copper, total("CH4")], card) == pytest.approx([-4.0])
    with_atoms = card.model_copy(update={"isolated_atoms": {"Cu": -1.0}})
    aluminium = labelled(bulk("Al"), -3.0)
    assert cohesive_energies([copper, aluminium], with_atoms) == pytest.approx([-3.0])
    assert len(binding_ratios([copper], card)) == 0

"""pymatgen's objects are evaluated as they are."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from builders import rattled
from pymatgen.core import Lattice, Molecule, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from hydracalc.calculator import HydraCalculator


@pytest.fixture
def calc(random_model):
    return HydraCalculator(random_model)


def test_crystals_and_molecules_in_one_call(calc):
    crystal, ethanol = rattled(bulk("NaCl", "rocksalt", a=5.6)), rattled(molecule("CH3CH2OH"))
    given = [
        AseAtomsAdaptor.get_structure(crystal),
        AseAtomsAdaptor.get_molecule(ethanol),
        crystal,
        ethanol,
    ]
    found = calc.evaluate(given)
    for theirs, ours in zip(found[:2], found[2:], strict=True):
        assert theirs["energy"] == pytest.approx(ours["energy"], abs=1e-9)
        np.testing.assert_allclose(theirs["forces"], ours["forces"], atol=1e-9)
    np.testing.assert_allclose(found[0]["stress"], found[2]["stress"], atol=1e-10)
    assert "stress" not in found[1]
    assert isinstance(given[0], Structure)
    assert isinstance(given[1], Molecule)


def test_charge_and_multiplicity_of_a_molecule_count(calc):
    species, places = ["O", "H", "H"], molecule("H2O").positions
    neutral, cation = (Molecule(species, places, charge=charge) for charge in (0, 1))
    assert (neutral.spin_multiplicity, cation.spin_multiplicity) == (1, 2)
    atoms = molecule("H2O")
    atoms.info |= {"charge": 1, "spin": 2}
    energies = [result["energy"] for result in calc.evaluate([neutral, cation, atoms])]
    assert energies[1] == pytest.approx(energies[2], abs=1e-9)
    assert abs(energies[0] - energies[1]) > 1e-3


def test_supercells_of_a_structure_have_its_energy_per_atom(calc):
    """Also for sites outside the cell and a cell that is not orthogonal."""
    structure = Structure(
        Lattice.rhombohedral(4.0, 61), ["Na", "Cl"], [[0, 0, 0], [1.5, 0.52, -0.5]]
    )
    doubled = structure.copy()
    doubled.make_supercell([2, 1, 1])
    one, two = calc.evaluate([structure, doubled])
    assert two["energy"] == pytest.approx(2 * one["energy"], abs=1e-8)


def test_other_methods_take_them_too(calc):
    structure = AseAtomsAdaptor.get_structure(bulk("Cu"))
    assert sum(calc.get_branch_weights(structure).values()) == pytest.approx(1)
    assert calc.get_descriptors(structure).shape[0] == 1


def test_a_disordered_structure_is_refused_by_its_place(calc):
    disordered = Structure(Lattice.cubic(4), [{"Cu": 0.5, "Al": 0.5}], [[0, 0, 0]])
    with pytest.raises(ValueError, match="structure 1 has partly occupied sites"):
        calc.evaluate([bulk("Cu"), disordered])

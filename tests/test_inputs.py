"""Objects of ASE and pymatgen, and files of any format, become the same structure."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from pymatgen.core import Lattice, Molecule, Structure

from hydracalc.inputs import as_structure, read_atoms


def test_a_pymatgen_crystal_is_the_ase_crystal():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    crystal = Structure(
        Lattice(atoms.cell.array), ["Na", "Cl"], atoms.positions, coords_are_cartesian=True
    )
    found, expected = as_structure(crystal), as_structure(atoms)
    np.testing.assert_array_equal(found.atomic_numbers, expected.atomic_numbers)
    np.testing.assert_allclose(found.positions, expected.positions, atol=1e-12)
    np.testing.assert_allclose(found.cell, expected.cell)
    assert found.pbc.all()
    assert (found.total_charge, found.spin_multiplicity) == (0, 1)


def test_a_pymatgen_molecule_brings_charge_and_multiplicity():
    found = as_structure(Molecule(["O", "H"], [[0, 0, 0], [0, 0, 1]], charge=-1))
    assert (found.total_charge, found.spin_multiplicity) == (-1, 1)
    radical = as_structure(Molecule(["O", "H"], [[0, 0, 0], [0, 0, 1]]))
    assert (radical.total_charge, radical.spin_multiplicity) == (0, 2)
    assert not found.pbc.any()
    assert not found.cell.any()


def test_partly_occupied_sites_are_refused():
    crystal = Structure(Lattice.cubic(4), [{"Cu": 0.5, "Al": 0.5}], [[0, 0, 0]])
    with pytest.raises(ValueError, match="partly occupied"):
        as_structure(crystal)


def test_charge_and_spin_of_atoms():
    atoms = molecule("O2")
    atoms.info.update(charge=1, spin=4)
    found = as_structure(atoms)
    assert (found.total_charge, found.spin_multiplicity) == (1, 4)


@pytest.mark.parametrize("info", [{"charge": 0.5}, {"spin": 0}, {"charge": "one"}])
def test_a_state_that_is_no_number_is_refused(info):
    atoms = molecule("O2")
    atoms.info |= info
    with pytest.raises(ValueError, match=r"atoms\.info"):
        as_structure(atoms)


def test_what_is_no_structure_is_refused():
    with pytest.raises(TypeError, match="cannot read a structure from str"):
        as_structure("H2O")
    with pytest.raises(ValueError, match="structure 3 has no atoms"):
        as_structure(Atoms(), source="3")


@pytest.mark.parametrize("name", ["a.extxyz", "a.traj", "a.cif", "a.vasp", "a.db", "a.json"])
def test_files_of_many_formats_are_read(tmp_path, name):
    atoms = bulk("Cu", cubic=True)
    atoms.write(tmp_path / name)
    (found,) = read_atoms(tmp_path / name)
    np.testing.assert_allclose(found.get_all_distances(mic=True), atoms.get_all_distances(mic=True))


def test_some_structures_of_a_file_are_chosen(tmp_path):
    path = tmp_path / "a.extxyz"
    for symbol in ("H2", "O2", "N2"):
        molecule(symbol).write(path, append=True)
    assert [a.symbols[0] for a in read_atoms(path)] == ["H", "O", "N"]
    assert [a.symbols[0] for a in read_atoms(f"{path}@1:")] == ["O", "N"]


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        list(read_atoms(tmp_path / "none.xyz"))
    (tmp_path / "bad.cif").write_text("no crystal\n")
    with pytest.raises(ValueError, match=r"bad\.cif: ASE cannot read it"):
        list(read_atoms(tmp_path / "bad.cif"))

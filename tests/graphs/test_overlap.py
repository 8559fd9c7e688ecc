"""Atoms on top of each other are told of, through periodic images too; bonds are not."""

import warnings

import pytest
from ase import Atoms
from ase.build import bulk, molecule

from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.graphs.overlap import check_overlap
from hydracalc.structure import from_atoms


def check(atoms):
    structure = from_atoms(atoms)
    edges = neighbor_list(structure.positions, structure.cell, structure.pbc, 5.0)
    check_overlap(structure, edges)


@pytest.mark.parametrize("name", ["H2", "CH3CH2OH", "N2", "HF"])
def test_bonds_are_no_overlap(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(molecule(name))
        check(bulk("Si"))
        check(bulk("C"))
        check(Atoms("He"))


def test_the_nearest_pair_is_named_with_its_distance():
    atoms = Atoms("CHO", [[0, 0, 0], [0, 0, 1.1], [0.2, 0.2, 0]])
    with pytest.warns(UserWarning, match=r"atoms C0 and O2 are 0\.28 Angstrom apart"):
        check(atoms)


def test_an_image_counts():
    atoms = Atoms("C2", [[0, 0, 0.1], [0, 0, 3.9]], cell=[4, 4, 4], pbc=True)
    with pytest.warns(UserWarning, match=r"C0 and C1 are 0\.20"):
        check(atoms)


def test_one_place_is_an_error():
    with pytest.raises(ValueError, match="atoms Cu0 and Cu1 are at the same place"):
        check(Atoms("Cu2", [[0, 0, 0], [0, 0, 4]], cell=[4, 4, 4], pbc=True))

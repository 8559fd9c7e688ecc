"""Structures that pymatgen wrote are read as pymatgen reads them."""

import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from hydracalc.readers.crystals import is_ordered, read_crystal, write_crystal


def triclinic():
    lattice = Lattice.from_parameters(4.1, 5.2, 6.3, 71, 82, 93)
    sites = [[0.1, 0.2, 0.3], [0.6, -0.7, 1.4], [0.5, 0.5, 0.5]]
    return Structure(lattice, ["Fe", "O", "O"], sites)


def test_parity_with_pymatgen():
    dictionary = json.loads(json.dumps(triclinic().as_dict()))
    crystal = read_crystal(dictionary)
    again = Structure.from_dict(dictionary)
    assert crystal.atomic_numbers.tolist() == list(again.atomic_numbers)
    np.testing.assert_array_equal(crystal.cell, again.lattice.matrix)
    np.testing.assert_allclose(crystal.positions, again.cart_coords, rtol=0, atol=1e-14)
    assert crystal.pbc.tolist() == list(again.lattice.pbc)
    assert crystal.total_charge == again.charge == 0


def test_the_charge_of_the_cell_is_read():
    assert read_crystal(triclinic().as_dict() | {"charge": -2.0}).total_charge == -2
    assert read_crystal(triclinic().as_dict() | {"charge": None}).total_charge == 0


def test_oxidation_states_and_slabs_are_read():
    structure = triclinic()
    structure.add_oxidation_state_by_element({"Fe": 4, "O": -2})
    dictionary = structure.as_dict()
    dictionary["lattice"]["pbc"] = [True, True, False]
    crystal = read_crystal(dictionary)
    assert crystal.atomic_numbers.tolist() == [26, 8, 8]
    assert crystal.pbc.tolist() == [True, True, False]


def test_cartesian_coordinates_serve_where_there_are_no_fractional_ones():
    dictionary = triclinic().as_dict()
    expected = read_crystal(dictionary).positions
    for site in dictionary["sites"]:
        del site["abc"]
    np.testing.assert_allclose(read_crystal(dictionary).positions, expected, atol=1e-12)


def test_disorder_and_unknown_species_are_refused():
    disordered = Structure(Lattice.cubic(3.5), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]]).as_dict()
    assert not is_ordered(disordered)
    with pytest.raises(ValueError, match="several species"):
        read_crystal(disordered)
    partial = Structure(Lattice.cubic(3.5), [{"Cu": 0.5}], [[0, 0, 0]]).as_dict()
    assert not is_ordered(partial)


def test_what_is_written_is_read_by_pymatgen_and_by_us():
    structure = triclinic()
    dictionary = json.loads(
        json.dumps(
            write_crystal(
                np.array(structure.atomic_numbers), structure.cart_coords, structure.lattice.matrix
            )
        )
    )
    np.testing.assert_allclose(
        Structure.from_dict(dictionary).cart_coords, structure.cart_coords, atol=1e-12
    )
    np.testing.assert_allclose(
        read_crystal(dictionary).positions, structure.cart_coords, atol=1e-12
    )

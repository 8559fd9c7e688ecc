"""What a structure accepts, how it types it, and what it refuses by name."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from hydracalc import fields
from hydracalc.structure import AtomicStructure, from_atoms


def water(**changes):
    values = {
        "atomic_numbers": [8, 1, 1],
        "positions": [[0, 0, 0], [1, 0, 0], [0, 1, 0]],
        "source": "w1",
    }
    return AtomicStructure(**(values | changes))


def test_every_field_has_the_type_of_the_table():
    structure = water(energy=-1, forces=np.zeros((3, 3), dtype=np.float32), stress=np.eye(3))
    for field in fields.FIELDS.values():
        value = np.asarray(getattr(structure, field.name))
        assert value.dtype == field.dtype, field.name
        assert value.shape == tuple(3 if s == "N" else s for s in field.shape)
        assert value.flags.c_contiguous
    assert isinstance(structure.energy, float)
    assert structure.formula == "H2O"


def test_labels_may_be_missing():
    structure = water()
    assert structure.energy is None
    assert structure.forces is None
    assert structure.stress is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": np.zeros((2, 3))}, r"structure w1: positions has shape \(2, 3\)"),
        ({"forces": np.zeros(3)}, r"structure w1: forces has shape \(3,\), expected \(3, 3\)"),
        ({"stress": np.zeros(6)}, r"stress has shape \(6,\), expected \(3, 3\)"),
        ({"cell": None}, "cell is missing"),
        ({"atomic_numbers": [8, 1, 119]}, r"atomic_numbers \[119\] are no elements"),
        ({"atomic_numbers": [8, 1, 0]}, r"atomic_numbers \[0\] are no elements"),
    ],
)
def test_wrong_fields_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        water(**changes)


def test_atoms_become_a_structure_with_charge_and_spin():
    atoms = bulk("Si")
    atoms.info.update(charge=-1, spin=3)
    structure = from_atoms(atoms)
    assert (structure.total_charge, structure.spin_multiplicity) == (-1, 3)
    assert structure.pbc.all()
    np.testing.assert_array_equal(structure.cell, atoms.cell.array)
    plain = from_atoms(Atoms("H"))
    assert (plain.total_charge, plain.spin_multiplicity) == (0, 1)


@pytest.mark.parametrize(
    ("key", "value"), [("charge", 0.5), ("spin", 0), ("charge", "x"), ("spin", None)]
)
def test_charge_and_spin_must_be_whole_numbers(key, value):
    atoms = Atoms("H", info={key: value})
    with pytest.raises(ValueError, match=rf"atoms.info\['{key}'\] is "):
        from_atoms(atoms)

"""What is written is what is read again, in every format."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from hydracalc.inputs import as_structure, read_atoms
from hydracalc.outputs import ENDINGS, write_atoms


def with_results(atoms, energy, **info):
    atoms.info |= info
    forces = np.random.default_rng(0).normal(size=(len(atoms), 3))
    stress = {"stress": np.arange(6) / 7} if atoms.pbc.any() else {}
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, **stress)
    return atoms


@pytest.fixture
def frames():
    ion = with_results(molecule("CH3OH"), -1.25, charge=-1, spin=2, branch="organic")
    return [ion, with_results(bulk("NaCl", "rocksalt", a=5.6), -7.5, branch="general")]


@pytest.mark.parametrize("ending", ENDINGS)
def test_structures_and_results_come_back(tmp_path, frames, ending):
    path = tmp_path / f"o{ending}"
    write_atoms(path, frames)
    found = list(read_atoms(path))
    for before, after in zip(frames, found, strict=True):
        np.testing.assert_array_equal(after.numbers, before.numbers)
        np.testing.assert_allclose(after.positions, before.positions, atol=1e-7)
        np.testing.assert_array_equal(after.pbc, before.pbc)
        assert after.get_potential_energy() == pytest.approx(before.get_potential_energy())
        np.testing.assert_allclose(after.get_forces(), before.get_forces(), atol=1e-7)
        assert after.info["branch"] == before.info["branch"]
    np.testing.assert_allclose(found[1].get_stress(), frames[1].get_stress(), atol=1e-7)
    ion = as_structure(found[0])
    assert (ion.total_charge, ion.spin_multiplicity) == (-1, 2)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_older_file_is_replaced(tmp_path, frames, ending):
    path = tmp_path / f"o{ending}"
    write_atoms(path, frames)
    write_atoms(path, frames[1:])
    (found,) = read_atoms(path)
    assert found.symbols[0] == "Na"


def test_a_failure_leaves_the_older_file(tmp_path, frames):
    path = tmp_path / "o.db"
    write_atoms(path, frames)
    frames[1].info["charge"] = "1"  # ase.db refuses texts that are numbers
    with pytest.raises(ValueError, match="can be interpreted as int"):
        write_atoms(path, frames)
    assert len(list(read_atoms(path))) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["o.db"]


def test_an_unknown_ending_is_refused(tmp_path, frames):
    message = r"unknown ending of the output '.exyz'.*known: .db, .extxyz"
    with pytest.raises(ValueError, match=message):
        write_atoms(tmp_path / "o.exyz", frames)


def test_rows_of_a_database_are_chosen(tmp_path, frames):
    path = tmp_path / "o.db"
    write_atoms(path, [*frames, molecule("N2")])
    for selection, symbols in (
        ("0", ["C"]),
        ("-1", ["N"]),
        ("1:", ["Na", "N"]),
        ("5:", []),
        ("branch=general", ["Na"]),
    ):
        assert [a.symbols[0] for a in read_atoms(f"{path}@{selection}")] == symbols
    with pytest.raises(ValueError, match="'::2' of a database must have step 1"):
        list(read_atoms(f"{path}@::2"))

"""ASE databases are read as ASE reads them, in pieces, and never changed."""

import json
import sqlite3

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from hydracalc.errors import DataError
from hydracalc.readers.ase_sqlite import metadata_of, row_parts, rows_of
from hydracalc.readers.parts import Part


def make_atoms(number):
    rng = np.random.default_rng(number)
    atoms = Atoms("CO", rng.normal(size=(2, 3)), pbc=(True, False, number % 2))
    atoms.set_cell(rng.normal(size=(3, 3)))
    results = {"energy": -1.5 * number, "forces": rng.normal(size=(2, 3)), "stress": np.arange(6.0)}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


@pytest.fixture
def database(tmp_path):
    """Seven rows, of which the third is deleted."""
    path = tmp_path / "some.db"
    with ase.db.connect(path) as writer:
        for number in range(7):
            data = {"nested": {"values": np.arange(number + 1.0)}, "text": "é", "list": [1, None]}
            writer.write(make_atoms(number), data=data, name=f"row {number}", number=number)
        del writer[3]
        writer.metadata = {"units": {"energy": "eV"}}
    return path


def test_rows_are_those_that_ase_reads(database):
    rows = list(rows_of(Part(path=database)))
    expected = list(ase.db.connect(database).select())
    assert [row.number for row in rows] == [1, 2, 4, 5, 6, 7]
    for row, ours in zip(expected, rows, strict=True):
        assert ours.atomic_numbers.tolist() == row.numbers.tolist()
        assert np.array_equal(ours.positions, row.positions)
        assert np.array_equal(ours.cell, row.cell)
        assert ours.pbc.tolist() == row.pbc.tolist()
        assert ours.energy == row.energy
        assert np.array_equal(ours.forces, row.forces)
        assert np.array_equal(ours.stress, row.stress)
        assert ours.key_value_pairs == row.key_value_pairs
        assert np.array_equal(ours.data["nested"]["values"], row.data["nested"]["values"])
        assert ours.data["text"] == "é"
        assert ours.data["list"] == [1, None]


def test_rows_without_labels_and_entries_have_none(tmp_path):
    path = tmp_path / "bare.db"
    with ase.db.connect(path) as writer:
        writer.write(Atoms("He"))
    (row,) = rows_of(Part(path=path))
    assert row.energy is row.forces is row.stress is None
    assert row.data == {}
    assert row.key_value_pairs == {}
    assert metadata_of(path) == {}


def test_entries_of_older_versions_of_ase_are_json(database):
    with sqlite3.connect(database) as connection:
        old = {"forces": {"__ndarray__": [[1, 3], "float64", [0.5, 1.0, 2.0]]}, "energy": [1.0]}
        connection.execute("UPDATE systems SET data = ? WHERE id = 1", (json.dumps(old),))
        connection.execute("UPDATE systems SET data = 'null' WHERE id = 2")
    first, second, *_ = rows_of(Part(path=database))
    assert first.data["forces"].tolist() == [[0.5, 1.0, 2.0]]
    assert first.data["energy"] == [1.0]
    assert second.data == {}


def test_metadata_are_those_of_ase(database):
    assert metadata_of(database) == {"units": {"energy": "eV"}}


@pytest.mark.parametrize("part_bytes", [1, 10_000, 10**9])
def test_pieces_together_hold_every_row_once(database, part_bytes):
    parts = row_parts([database], part_bytes=part_bytes)
    assert len(parts) == {1: 7, 10_000: 7, 10**9: 1}[part_bytes]
    numbers = [row.number for part in parts for row in rows_of(part)]
    assert numbers == [1, 2, 4, 5, 6, 7]


def test_reading_leaves_the_file_and_its_folder_alone(database):
    before = database.read_bytes()
    list(rows_of(row_parts([database])[0]))
    metadata_of(database)
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


def test_odd_characters_in_a_path_are_no_query(database):
    moved = database.rename(database.with_name("a?mode=rw#%41.db"))
    assert len(list(rows_of(Part(path=moved)))) == 6


@pytest.mark.parametrize("content", [b"", b"SQLite", b"<html>not found</html>" * 100])
def test_what_is_no_database_is_damaged_data(tmp_path, content):
    path = tmp_path / "some.db"
    path.write_bytes(content)
    for read in (lambda: row_parts([path]), lambda: list(rows_of(Part(path=path)))):
        with pytest.raises(DataError, match=r"some\.db: .*does not begin as a SQLite database"):
            read()
    assert path.read_bytes() == content


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99, 0.9999])
def test_a_truncated_database_is_damaged_data(database, kept):
    content = database.read_bytes()
    database.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=r"some\.db"):
        list(rows_of(Part(path=database)))


def test_another_database_is_damaged_data(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE people (name TEXT)")
    with pytest.raises(DataError, match=r"other\.db: .*no such table: systems"):
        row_parts([path])


def test_a_database_without_rows_is_damaged_data(tmp_path):
    path = tmp_path / "empty.db"
    with ase.db.connect(path) as writer:
        del writer[writer.write(Atoms("H"))]
    with pytest.raises(DataError, match="there is no row"):
        row_parts([path])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("positions", b"\0" * 23, "row 2: "),
        ("cell", b"\0" * 8, "row 2: "),
        ("numbers", None, "row 2: "),
        ("key_value_pairs", "{", "row 2: "),
        ("data", (200).to_bytes(8, "little"), "row 2: "),
        ("data", "[1, 2]", "row 2: .*data is list, expected entries"),
        ("data", '{"a": {"__ndarray__": [[1], "object", [1]]}}', "row 2: .*array of object"),
    ],
)
def test_a_malformed_row_is_named(database, column, value, message):
    with sqlite3.connect(database) as connection:
        connection.execute(f"UPDATE systems SET {column} = ? WHERE id = 2", (value,))
    with pytest.raises(DataError, match=message):
        list(rows_of(Part(path=database)))


def test_a_missing_file_is_reported_as_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        metadata_of(tmp_path / "none.db")

"""ASE databases in LMDB files: rows by number, in pieces, both encodings, and damage named."""

import json
import zlib

import lmdb
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from hydracalc.errors import DataError
from hydracalc.ingest.catalog import list_datasets
from hydracalc.readers.aselmdb import array, row_parts, rows_of
from hydracalc.readers.aselmdb_writer import row_of, write_rows
from hydracalc.readers.parts import Part

REAL = list_datasets()["omol25"] / "sample" / "omol25_sample_23.aselmdb"


def numbered(path, **options):
    return [number for part in row_parts([path], **options) for number, _ in rows_of(part)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.aselmdb"
    write_rows(path, [{"numbers": [n], "data": {}} if n % 5 else None for n in range(1, 43)])
    return path


@pytest.mark.parametrize("rows_per_part", [1, 7, 20, 41, 42, 1000])
def test_pieces_cover_every_row_once_and_pass_over_deleted_ones(path, rows_per_part):
    expected = [number for number in range(1, 43) if number % 5]
    assert numbered(path, rows_per_part=rows_per_part) == expected


def test_pieces_depend_on_the_file_alone(path):
    parts = row_parts([path], rows_per_part=20)
    assert [(part.start, part.stop) for part in parts] == [(1, 21), (21, 41), (41, 43)]


def test_a_whole_file_may_be_one_piece(path):
    assert [n for n, _ in rows_of(Part(path=path))] == numbered(path)


def test_rows_of_a_database_by_another_writer_are_as_the_lmdb_package_has_them():
    """The real file is by ase-db-backends; the lmdb package and json read it independently."""
    with (
        lmdb.open(str(REAL), subdir=False, readonly=True, lock=False) as environment,
        environment.begin() as transaction,
    ):
        raw = {n: json.loads(zlib.decompress(transaction.get(b"%d" % n))) for n in range(1, 24)}
    rows = dict(rows_of(Part(path=REAL)))
    assert rows == raw
    shape, _, flat = raw[3]["forces"]["__ndarray__"]
    assert np.array_equal(array(rows[3]["forces"]), np.reshape(flat, shape))


def test_arrays_are_the_same_in_both_encodings():
    values = np.random.default_rng(0).normal(size=(4, 3))
    old = array(values.tolist())
    new = array({"__ndarray__": [[4, 3], "float64", values.ravel().tolist()]})
    assert np.array_equal(old, values)
    assert np.array_equal(new, values)
    assert array({"__ndarray__": [[0, 3], "float64", []]}).shape == (0, 3)
    assert array({"__ndarray__": [[3], "bool", [True, False, True]]}).dtype == bool


@pytest.mark.parametrize(
    "value",
    [
        {"__ndarray__": [[2, 2], "float64", [1.0, 2.0, 3.0]]},
        {"__ndarray__": [[1], "object", ["x"]]},
        {"__complex__": [1, 2]},
        ["a", "b"],
        [[1.0, 2.0], [3.0]],
        None,
    ],
)
def test_what_is_no_array_of_numbers_is_refused(value):
    with pytest.raises(ValueError):  # noqa: PT011 -- NumPy's own messages among them
        array(value)


def test_labels_and_cell_survive_writing(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=0)
    atoms.calc = EMT()
    atoms.get_stress()
    write_rows(tmp_path / "a.aselmdb", [row_of(atoms, {"sid": "x", "drift": np.zeros(3)})])
    ((number, row),) = rows_of(Part(path=tmp_path / "a.aselmdb"))
    assert number == 1
    assert row["energy"] == atoms.get_potential_energy()
    assert np.array_equal(array(row["forces"]), atoms.get_forces())
    assert np.array_equal(array(row["stress"]), atoms.get_stress())
    assert np.array_equal(array(row["cell"]), atoms.cell.array)
    assert row["data"] == {"sid": "x", "drift": [0.0, 0.0, 0.0]}


def put(path, key, value):
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=2**26) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(key, value) if value is not None else transaction.delete(key)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "row is missing"),
        (b"plain text", "damaged"),
        (zlib.compress(b'{"numbers": [1')[:-3], "damaged"),
        (zlib.compress(b'{"numbers": [1'), "damaged"),
        (zlib.compress(b"[1, 2]"), "no row"),
        (b"\x80\x04}q\x00.", "damaged"),  # a pickle
    ],
)
def test_a_damaged_row_is_named(path, value, what):
    put(path, b"7", value)
    with pytest.raises(DataError, match=rf"data\.aselmdb, row 7: .*{what}"):
        list(rows_of(Part(path=path)))


def test_nan_of_ases_own_writer_is_read(path):
    put(path, b"7", zlib.compress(b'{"numbers": [7], "data": {"gap": NaN}}'))
    row = dict(rows_of(Part(path=path)))[7]
    assert np.isnan(row["data"]["gap"])


@pytest.mark.parametrize("value", [None, b'"x"', b"0", b"-3"])
def test_an_lmdb_of_something_else_is_refused(path, value):
    put(path, b"nextid", None if value is None else zlib.compress(value))
    with pytest.raises(DataError, match="no ASE database"):
        row_parts([path])


def test_a_number_of_rows_that_the_file_cannot_hold_is_refused(path):
    put(path, b"nextid", zlib.compress(b"1000000000000000000"))
    with pytest.raises(DataError, match="nextid is 1000000000000000000, but the file has 36"):
        row_parts([path])


def test_memory_does_not_grow_with_the_file(tmp_path):
    import tracemalloc

    path = tmp_path / "large.aselmdb"
    rng = np.random.default_rng(0)
    write_rows(path, [{"numbers": [1], "positions": rng.normal(size=1500)} for _ in range(1500)])
    tracemalloc.start()
    assert sum(1 for _ in rows_of(Part(path=path))) == 1500
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 15_000_000
    assert peak < path.stat().st_size / 5

"""Rows of large HDF5 groups are read in pieces, each once."""

import h5py
import numpy as np
import pytest

from hydracalc import elements
from hydracalc.errors import DataError
from hydracalc.ingest import conformers
from hydracalc.ingest.hdf5_rows import formulas, row_parts, rows_of
from hydracalc.readers.parts import Part

COUNTS = {"002": 50, "003": 0, "005": 7, "010": 1}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.h5"
    with h5py.File(path, "w") as writer:
        for name, count in COUNTS.items():
            writer[f"{name}/R"] = np.zeros((count, int(name), 3))
    return path


def read(parts):
    return [
        (name, row)
        for part in parts
        for name, group, rows in rows_of(part, "R")
        for row in range(rows.start, rows.stop)
        if len(group["R"][rows])
    ]


@pytest.mark.parametrize("part_bytes", [1, 48 * 2 * 8, 10**9])
def test_pieces_together_hold_every_row_once(file, part_bytes):
    parts = row_parts([file], "R", part_bytes=part_bytes)
    expected = [(name, row) for name, count in COUNTS.items() for row in range(count)]
    assert read(parts) == expected
    assert len(parts) == {1: 58, 48 * 2 * 8: 7 + 3 + 1, 10**9: 3}[part_bytes]


def test_a_piece_can_be_the_whole_file(file):
    assert len(read([Part(path=file)])) == sum(COUNTS.values())


def test_a_range_may_reach_over_groups(file):
    assert read([Part(path=file, start=48, stop=52)]) == [
        ("002", 48),
        ("002", 49),
        ("005", 0),
        ("005", 1),
    ]


def test_ranges_are_of_bounded_size(file, monkeypatch):
    monkeypatch.setattr(conformers, "_BLOCK_ATOMS", 20)
    sizes = [rows.stop - rows.start for _, _, rows in rows_of(Part(path=file), "R")]
    assert sizes == [10] * 5 + [4, 3] + [1]


def test_a_group_without_the_array_is_named(file):
    with h5py.File(file, "r+") as writer:
        del writer["005/R"]
    with pytest.raises(DataError, match=r"rows\.h5, 005: .*'R'"):
        row_parts([file], "R")
    with pytest.raises(DataError, match=r"rows\.h5, 005: .*'R'"):
        read([Part(path=file)])


def test_an_array_of_another_shape_is_damaged_data(file):
    with h5py.File(file, "r+") as writer:
        del writer["005/R"]
        writer["005/R"] = np.zeros((7, 15))
    with pytest.raises(DataError, match=r"rows\.h5, 005: "):
        row_parts([file], "R")


def test_a_file_without_groups_is_damaged_data(tmp_path):
    path = tmp_path / "rows.h5"
    h5py.File(path, "w").close()
    with pytest.raises(DataError, match="there is no group in it"):
        row_parts([path], "R")


def test_formulas_are_those_of_each_row():
    rng = np.random.default_rng(0)
    numbers = rng.choice([1, 6, 8], (40, 4))
    assert formulas(numbers) == [elements.formula(row) for row in numbers]
    assert formulas(np.empty((0, 4), dtype=int)) == []

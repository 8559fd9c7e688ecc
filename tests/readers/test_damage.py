"""Damage is one message with the file, the record and the reason."""

import h5py
import pytest

from hydracalc.errors import DataError
from hydracalc.readers.damage import reading


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "x.json"
    message = r"x\.json, mp-1: 'force' is missing"
    with pytest.raises(DataError, match=message), reading(path, "mp-1"):
        _ = {}["force"]


def test_a_missing_dataset_of_an_hdf5_file_is_named(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["a"] = 1
    message = r"x\.h5: .*'b' doesn't exist"
    with pytest.raises(DataError, match=message), reading(path), h5py.File(path) as file:
        _ = file["b"]


def test_the_innermost_message_wins(tmp_path):
    with pytest.raises(DataError, match="^inner$"), reading(tmp_path / "outer"):
        raise DataError("inner")


def test_a_file_that_does_not_exist_is_not_called_damaged(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(FileNotFoundError), reading(path), path.open():
        pass

"""What ADIOS2 gets wrong by itself comes out right."""

import numpy as np
import pytest

from hydracalc.shards import arrays
from hydracalc.shards.arrays import ArrayFile, write_arrays


@pytest.fixture
def content():
    rng = np.random.default_rng(0)
    read_only = rng.random(5)
    read_only.flags.writeable = False
    return {
        "transposed": rng.random((3, 7)).T,
        "every second": rng.random((20, 3))[::2],
        "read-only": read_only,
        "bool": rng.random((6, 3)) > 0.5,
        "empty": np.zeros((0, 3)),
        "no text": np.zeros(0, dtype=np.uint8),
        "special": np.array([np.nan, -0.0, np.inf, 5e-324]),
        "int8": np.array([-128, 127], dtype=np.int8),
    }


@pytest.fixture
def file(tmp_path, content):
    write_arrays(tmp_path / "x.bp", content)
    with ArrayFile(tmp_path / "x.bp") as opened:
        yield opened


def test_every_array_comes_back_to_the_last_bit(file, content):
    for name, array in content.items():
        found = file.read(name, str(array.dtype))
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert found.tobytes() == array.tobytes()


@pytest.mark.parametrize("cost", [0, 10**9], ids=["range by range", "all at once"])
@pytest.mark.parametrize("runs", [[(0, 2), (4, 5)], [(3, 3), (4, 6)], [(9, 10)], []], ids=str)
def test_ranges_come_back_in_order(file, content, monkeypatch, cost, runs):
    monkeypatch.setattr(arrays, "_RANGE_COST", cost)
    rows = [row for start, stop in runs for row in range(start, stop)]
    found = file.read("every second", "float64", runs)
    np.testing.assert_array_equal(found, content["every second"][rows])


def test_a_whole_read_follows_a_range(file, content):
    file.read("transposed", "float64", [(2, 3)])
    np.testing.assert_array_equal(file.read("transposed", "float64"), content["transposed"])


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write"):
        write_arrays(tmp_path / "file" / "x.bp", {"a": np.zeros(3)})

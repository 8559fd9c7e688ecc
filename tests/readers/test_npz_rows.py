"""Arrays of npz files are streamed, with numpy as the reference."""

import tracemalloc
import zipfile

import numpy as np
import pytest

from hydracalc.errors import DataError
from hydracalc.readers.npz_rows import small_array, stream_rows

SAVE = {"plain": np.savez, "compressed": np.savez_compressed}


@pytest.fixture(params=SAVE)
def file(request, tmp_path):
    path = tmp_path / "some.npz"
    rng = np.random.default_rng(0)
    arrays = {"R": rng.normal(size=(23, 4, 3)), "E": rng.normal(size=(23, 1)).astype(np.float32)}
    SAVE[request.param](path, **arrays, z=np.array([1, 6, 7, 8]), theory=np.array("PBE"))
    return path


@pytest.mark.parametrize("block", [1, 10, 23, 100])
def test_blocks_together_are_the_arrays(file, block):
    blocks = list(stream_rows(file, ("R", "E"), block=block))
    assert [start for start, _ in blocks] == list(range(0, 23, block))
    with np.load(file) as arrays:
        for name in ("R", "E"):
            ours = np.concatenate([rows[name] for _, rows in blocks])
            assert ours.dtype == arrays[name].dtype
            assert np.array_equal(ours, arrays[name])


def test_small_arrays_are_read_whole(file):
    assert small_array(file, "z").tolist() == [1, 6, 7, 8]
    assert small_array(file, "theory").item() == "PBE"
    assert small_array(file, "nothing") is None


def test_memory_is_that_of_a_block(tmp_path):
    path = tmp_path / "large.npz"
    np.savez_compressed(path, R=np.zeros((400_000, 9, 3)))  # 86 MB of zeros
    tracemalloc.start()
    num_rows = sum(len(rows["R"]) for _, rows in stream_rows(path, ("R",), block=1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num_rows == 400_000
    assert peak < 5e6


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.6, 0.99])
def test_a_truncated_file_is_damaged_data(file, kept):
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=r"some\.npz"):
        list(stream_rows(file, ("R",), block=5))
    with pytest.raises(DataError, match=r"some\.npz"):
        small_array(file, "z")


def test_a_changed_byte_is_damaged_data(file):
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        start = archive.getinfo("R.npy").header_offset
    content[start + 600] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"some\.npz"):
        list(stream_rows(file, ("R",), block=5))


def test_arrays_of_different_length_are_damaged_data(tmp_path):
    path = tmp_path / "some.npz"
    np.savez(path, R=np.zeros((5, 2, 3)), E=np.zeros(4))
    with pytest.raises(DataError, match="different numbers of rows: {'R': 5, 'E': 4}"):
        list(stream_rows(path, ("R", "E"), block=5))


def test_a_missing_array_is_named(file):
    with pytest.raises(DataError, match=r"F\.npy"):
        list(stream_rows(file, ("R", "F"), block=5))


@pytest.mark.parametrize(
    "array", [np.array([{}], dtype=object), np.asfortranarray(np.ones((3, 2))), np.array(1.0)]
)
def test_arrays_that_are_no_rows_of_numbers_are_refused(tmp_path, array):
    """Objects would have to be unpickled."""
    path = tmp_path / "some.npz"
    np.savez(path, R=array)
    with pytest.raises(DataError, match="expected rows of numbers"):
        list(stream_rows(path, ("R",), block=5))


def test_an_array_longer_than_it_says_is_damaged_data(tmp_path):
    path = tmp_path / "some.npz"
    np.savez(tmp_path / "short.npz", R=np.zeros((5, 2)))
    with zipfile.ZipFile(tmp_path / "short.npz") as archive:
        content = archive.read("R.npy")
    for extra, message in ((b"\0", "longer than its shape"), (None, "ends early")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("R.npy", content[:-1] if extra is None else content + extra)
        with pytest.raises(DataError, match=message):
            list(stream_rows(path, ("R",), block=5))

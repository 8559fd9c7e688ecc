"""LMDB files are read as the lmdb package reads them, and damage never ends the process."""

import struct

import lmdb
import numpy as np
import pytest

from hydracalc.readers.lmdb_pages import LmdbFile

PAGE = 4096


def write(path, content):
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=2**28) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in content.items():
            transaction.put(key, value)
    return path


def values(rng, count):
    """Small ones, ones that fill a page, ones with pages of their own, and an empty one."""
    sizes = [0, *rng.choice([10, 900, 2000, 4096, 5000, 70_000], count - 1)]
    return {str(number).encode(): rng.bytes(size) for number, size in enumerate(sizes, start=1)}


@pytest.fixture
def content():
    return values(np.random.default_rng(0), 300)


@pytest.fixture
def path(tmp_path, content):
    return write(tmp_path / "data.aselmdb", content)


def test_every_value_is_the_one_that_was_written(path, content):
    with LmdbFile(path) as file:
        assert file.num_entries == len(content)
        assert all(file.value(key) == value for key, value in content.items())
        assert file.value(b"0") is None
        assert file.value(b"301") is None
        assert file.value(b"\xff" * 20) is None


def test_a_tree_of_several_levels_is_followed(tmp_path):
    content = {b"%d" % n: b"%d" % (n * n) for n in range(60_000)}
    path = write(tmp_path / "deep.lmdb", content)
    with LmdbFile(path) as file:
        for number in range(0, 60_000, 613):
            assert file.value(b"%d" % number) == b"%d" % (number * number)
        assert file.value(b"60000") is None


def test_an_empty_file_has_no_value(tmp_path):
    with LmdbFile(write(tmp_path / "empty.lmdb", {})) as file:
        assert file.num_entries == 0
        assert file.value(b"1") is None


def test_what_is_overwritten_or_deleted_is_not_read(path, content):
    """The second header and pages that are used again."""
    with lmdb.open(str(path), subdir=False, lock=False, map_size=2**28) as environment:
        for number in range(1, 40):
            with environment.begin(write=True) as transaction:
                transaction.delete(str(number).encode())
                transaction.put(b"40", b"new %d" % number)
    with LmdbFile(path) as file:
        assert file.value(b"40") == b"new 39"
        assert file.value(b"7") is None
        assert file.value(b"200") == content[b"200"]
        assert file.num_entries == len(content) - 39


@pytest.mark.parametrize("kept", [0, 10, 100, PAGE, PAGE + 50, 5 * PAGE, -PAGE, -1])
def test_a_truncated_file_is_refused_before_anything_is_read(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="truncated|too short"):
        LmdbFile(path)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "data.aselmdb"
    path.write_bytes(b"<html>404 not found</html>\n" * 1000)
    with pytest.raises(ValueError, match="no LMDB file"):
        LmdbFile(path)


def table_bytes(content):
    """Places of the numbers that lead through the file: of pages, tables and nodes."""
    for page in range(2, len(content) // PAGE):
        start = page * PAGE
        number, _, flags, end, _ = struct.unpack_from("<QHHHH", content, start)
        if number == page and flags in (1, 2):
            nodes = struct.unpack_from(f"<{(end - 16) // 2}H", content, start + 16)
            yield from range(start, start + end)
            yield from (start + node + byte for node in nodes for byte in range(8))


def test_a_wrong_bit_in_a_table_is_an_error_or_another_value_never_a_crash(path, content):
    """The lmdb package itself is killed by about one in ten of these."""
    original = path.read_bytes()
    places = [*range(16, 160), *table_bytes(original)]
    rng = np.random.default_rng(1)
    errors = 0
    for _ in range(300):
        damaged = bytearray(original)
        damaged[rng.choice(places)] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            with LmdbFile(path) as file:
                read = [file.value(key) for key in content]
            errors += read != list(content.values())
        except ValueError:
            errors += 1
    assert errors > 150


def test_a_page_that_leads_to_itself_ends(path, content):
    original = bytearray(path.read_bytes())
    last = struct.unpack_from("<QQ", original, 136), struct.unpack_from("<QQ", original, PAGE + 136)
    newest = 0 if last[0][1] > last[1][1] else PAGE
    (root,) = struct.unpack_from("<Q", original, newest + 128)
    node = struct.unpack_from("<H", original, root * PAGE + 16)[0]
    struct.pack_into("<HHH", original, root * PAGE + node, root & 0xFFFF, root >> 16, 0)
    path.write_bytes(original)
    with LmdbFile(path) as file, pytest.raises(ValueError, match="no leaf within"):
        file.value(b"1")

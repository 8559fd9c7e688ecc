"""JSON of any size is read entry by entry, and damage is reported with the file's name."""

import bz2
import gzip
import json

import pytest

from hydracalc.errors import DataError
from hydracalc.readers.json_stream import first_key, stream_list, stream_mapping

CONTENT = {f"mp-{i}": {"energy": -1.5 * i, "forces": [[0.1] * 3] * 200} for i in range(300)}
WRITERS = {"": lambda text: text, ".gz": gzip.compress, ".bz2": bz2.compress}


def write(tmp_path, suffix, content=CONTENT):
    path = tmp_path / f"data.json{suffix}"
    path.write_bytes(WRITERS[suffix](json.dumps(content).encode()))
    return path


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_mapping_is_streamed_with_floats(tmp_path, suffix):
    entries = dict(stream_mapping(write(tmp_path, suffix)))
    assert entries == CONTENT
    assert type(entries["mp-1"]["energy"]) is float


@pytest.mark.parametrize(("prefix", "content"), [("entries", {"entries": [1, 2]}), ("", [1, 2])])
def test_a_list_is_streamed(tmp_path, prefix, content):
    assert list(stream_list(write(tmp_path, ".bz2", content), prefix)) == [1, 2]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_truncated_file_is_named(tmp_path, suffix):
    path = write(tmp_path, suffix)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="data.json") as caught:
        list(stream_mapping(path))
    assert "damaged" in str(caught.value)


def test_the_first_entry_does_not_wait_for_the_last(tmp_path):
    """Garbage at the end is not noticed before it is reached: nothing is read ahead."""
    path = tmp_path / "data.json"
    path.write_bytes(json.dumps(CONTENT).encode()[:-1] + b', "bad": garbage}')
    entries = stream_mapping(path)
    assert next(entries)[0] == "mp-0"
    with pytest.raises(DataError):
        list(entries)


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Peak of Python's own allocations while a file 20 times larger than the bound is read."""
    import tracemalloc

    path = tmp_path / "data.json"
    entry = json.dumps({"forces": [[0.123456789] * 3] * 100})
    with path.open("w") as file:
        file.write('{"0":' + entry)
        file.writelines(f',"{i}":{entry}' for i in range(1, 2000))
        file.write("}")
    tracemalloc.start()
    assert sum(1 for _ in stream_mapping(path)) == 2000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < path.stat().st_size / 20


def test_the_first_key_tells_the_layout(tmp_path):
    path = write(tmp_path, ".bz2", {"entries": []})
    assert first_key(path) == "entries"
    path.write_bytes(bz2.compress(b"[1, 2]"))
    with pytest.raises(DataError, match="expected a JSON object"):
        first_key(path)
    path.write_bytes(b"no bz2 at all")
    with pytest.raises(DataError, match="data.json.bz2"):
        first_key(path)

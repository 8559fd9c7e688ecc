"""A file of structures serves a machine's processes, and nothing of it stays behind."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hydracalc.errors import DataError
from hydracalc.shards.reader import open_shards
from hydracalc.store import spill
from hydracalc.store.choice import StoreConfig
from hydracalc.store.places import Place
from hydracalc.store.records import pack
from hydracalc.store.store import open_store


@pytest.fixture
def shards(folder):
    with open_shards(folder) as opened:
        yield opened


def run_processes(shards, folder, count, timeout_s=5.0):
    """Threads in the part of a machine's processes: what each got, or its error."""
    rows, found = np.arange(len(shards)), [None] * count

    def run(number):
        place = Place(node_rank=number, node_size=count, token="t")
        try:
            found[number] = spill.open_spill(
                place, shards, rows, folder=folder, timeout_s=timeout_s
            )
        except DataError as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_all_map_the_same_bytes_and_the_name_is_gone(shards, tmp_path):
    block, bounds = pack(shards.read_table(np.arange(len(shards))))
    for found in run_processes(shards, tmp_path, 3):
        assert found.block.tobytes() == block.tobytes()
        assert found.sizes.tolist() == np.diff(bounds).tolist()
        assert not found.block.flags.writeable
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_heard_of_by_all(shards, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spill, "_write", full)
    first, *others = run_processes(shards, tmp_path, 3)
    assert "No space left on device" in str(first)
    assert all("the first process of this machine: OSError" in str(error) for error in others)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_does_not_come_is_not_waited_for_for_ever(shards, tmp_path):
    alone = Place(node_rank=0, node_size=2, token="t")
    start = time.monotonic()
    with pytest.raises(DataError, match=r"waited 0\.2 s for 1 other processes of this machine"):
        spill.open_spill(alone, shards, np.arange(3), folder=tmp_path, timeout_s=0.2)
    late = Place(node_rank=1, node_size=2, token="t")
    with pytest.raises(DataError, match=r"waited 0\.2 s for the first process of this machine"):
        spill.open_spill(late, shards, np.arange(3), folder=tmp_path, timeout_s=0.2)
    assert time.monotonic() - start < 5
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_memory_is_told_from_one_on_a_disk():
    assert spill.is_in_memory(Path("/dev/shm"))
    assert not spill.is_in_memory(Path(__file__).parent)


def test_which_disk_is_read_is_told(folder, tmp_path, caplog):
    caplog.set_level("INFO", "hydracalc.store")
    assert open_store(folder, "test", config=StoreConfig(kind="mapped", folder=str(tmp_path)))
    assert f"store of own reads a file in {tmp_path}" in caplog.text
    assert open_store(folder, "test", config=StoreConfig(kind="mapped", folder="/dev/shm"))
    assert "store of own reads the shards themselves: /dev/shm takes memory, too" in caplog.text


def test_a_folder_that_is_not_there_is_refused(folder):
    with pytest.raises(ValueError, match="store folder /nowhere does not exist"):
        open_store(folder, "test", config=StoreConfig(kind="mapped", folder="/nowhere"))

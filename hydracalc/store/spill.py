"""One copy of structures on a machine, in a file that its processes map into their memory.

The first process writes, the others wait; once all have mapped the file its name is removed, so
that nothing stays behind however the job ends. The bytes live as long as somebody has them mapped.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydracalc.errors import DataError
from hydracalc.shards.reader import Shards
from hydracalc.store.places import Place
from hydracalc.store.records import packed_chunks

_RECORDS = "records.bin"
_SIZES = "sizes.npy"
_ANSWER = "answer.json"
_POLL_S = 0.01


@dataclass(frozen=True, eq=False)
class Spill:
    """Records in a mapped file.

    Attributes:
        block: uint8.
        sizes: of each record, int64, (S,).
    """

    block: np.ndarray
    sizes: np.ndarray


def open_spill(
    place: Place, shards: Shards, rows: np.ndarray, *, folder: Path, timeout_s: float
) -> Spill:
    """Write the file if this is the machine's first process, and map it.

    Every process of the machine calls this equally often.

    Args:
        place: which of the machine's processes this is.
        shards: open.
        rows: structures of the split, ascending, int64.
        folder: on a disk of this machine.
        timeout_s: how long to wait for a process that does nothing.

    Raises:
        DataError: the file could not be written, or a process did not come.
    """
    path = folder / f"hydracalc-{place.next_name()}"
    if place.node_rank > 0:
        return _join(path, place, timeout_s)
    try:
        path.mkdir(mode=0o700)
        try:
            _write(path, shards, rows)
        except Exception as error:
            _answer(path, f"{type(error).__name__}: {error}")
            _wait_for_all(path, place, timeout_s)
            raise
        _answer(path, None)
        spill = _map(path)
        _wait_for_all(path, place, timeout_s)
    except OSError as error:
        raise DataError(f"cannot keep structures in a file: {error}") from None
    finally:
        shutil.rmtree(path, ignore_errors=True)
    return spill


def is_in_memory(folder: Path) -> bool:
    """Whether files in a folder take memory rather than disk, as far as the system tells."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return False
    real, kinds = folder.resolve(), {}
    for line in mounts.read_text().splitlines():
        _, where, kind, *_ = line.split()
        if real.is_relative_to(where):
            kinds[len(Path(where).parts)] = kind  # the last of equal ones hides those before
    return kinds[max(kinds)] in ("tmpfs", "ramfs") if kinds else False


def _write(path: Path, shards: Shards, rows: np.ndarray) -> None:
    sizes = [np.empty(0, dtype=np.int64)]
    with (path / _RECORDS).open("wb") as file:
        for block, part in packed_chunks(shards, rows):
            file.write(block.data)
            sizes.append(part)
        file.write(bytes(8))  # an empty file cannot be mapped
    np.save(path / _SIZES, np.concatenate(sizes))


def _answer(path: Path, failure: str | None) -> None:
    unfinished = path / (_ANSWER + ".part")
    unfinished.write_text(json.dumps({"failure": failure}))
    os.replace(unfinished, path / _ANSWER)


def _map(path: Path) -> Spill:
    block = np.memmap(path / _RECORDS, dtype=np.uint8, mode="r")
    return Spill(np.asarray(block)[:-8], np.load(path / _SIZES))


def _join(path: Path, place: Place, timeout_s: float) -> Spill:
    """The file of another process."""
    records = path / _RECORDS

    def progress() -> object:
        return records.stat().st_size if records.is_file() else None

    what = f"the first process of this machine to write {records}"
    _wait(lambda: (path / _ANSWER).is_file(), progress, what, timeout_s)
    failure = json.loads((path / _ANSWER).read_text())["failure"]
    spill = _map(path) if failure is None else None
    (path / f"mapped-{place.node_rank}").touch()
    if spill is None:
        raise DataError(f"the first process of this machine: {failure}")
    return spill


def _wait_for_all(path: Path, place: Place, timeout_s: float) -> None:
    def seen() -> int:
        return len(list(path.glob("mapped-*")))

    what = f"{place.node_size - 1} other processes of this machine to map {path}"
    _wait(lambda: seen() == place.node_size - 1, seen, what, timeout_s)


def _wait(
    is_done: Callable[[], bool], progress: Callable[[], object], what: str, timeout_s: float
) -> None:
    """Wait as long as something goes on.

    Raises:
        DataError: nothing has changed for too long.
    """
    before, until = progress(), time.monotonic() + timeout_s
    while not is_done():
        if (now := progress()) != before:
            before, until = now, time.monotonic() + timeout_s
        if time.monotonic() > until:
            raise DataError(f"waited {timeout_s:g} s for {what}; a process is stuck or lost")
        time.sleep(_POLL_S)

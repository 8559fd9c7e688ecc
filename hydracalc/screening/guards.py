"""Nobody writes where another still does, and each rank has its device."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import torch

from hydracalc.devices import device_of
from hydracalc.errors import DataError
from hydracalc.locks import is_free_within
from hydracalc.parallel.launch import detect

_WRITERS = "writers.lock"
_DEVICE = "device-{}.lock"
_PATIENCE = 60.0  # seconds for the ranks of a killed screening to be gone


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Tell others that blocks are written here."""
    with (folder / _WRITERS).open("w") as lock:
        with suppress(OSError):  # a file system without locks keeps nobody apart
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def wait_for_writers(folder: Path) -> None:
    """Wait until the ranks of a screening that was killed write no more.

    Raises:
        DataError: one still does after a minute.
    """
    path = folder / _WRITERS
    path.touch()
    if not is_free_within(path, _PATIENCE):
        raise DataError(f"{folder}: a rank of an earlier screening still writes; end it first")


def remove_locks(folder: Path) -> None:
    """Remove what this file has left in a folder."""
    for path in (folder / _WRITERS, *folder.glob(_DEVICE.format("*"))):
        path.unlink(missing_ok=True)


def own_device(name: str, folder: Path) -> torch.device:
    """The device of this rank: with "auto" and several GPUs, one for each.

    Args:
        name: as the user has it.
        folder: that all ranks of this machine share.

    Raises:
        ValueError: there is no such device.
    """
    found = device_of(name)
    count = 1 if found.type == "cpu" else torch.get_device_module(found).device_count()
    if name != "auto" or count < 2:
        return found
    launched = detect()
    index = launched.local_rank if launched.size > 1 else claim(folder, count)
    return device_of(f"{found.type}:{index % count}")


def claim(folder: Path, count: int) -> int:
    """A number below `count` that no other living process has claimed, if there is one.

    Args:
        folder: that the processes share.
        count: of devices.
    """
    for index in range(count):
        file = (folder / _DEVICE.format(index)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        _CLAIMED.append(file)
        return index
    return os.getpid() % count


# files whose locks this process holds for as long as it lives
_CLAIMED: list[IO[str]] = []

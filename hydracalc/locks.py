"""Waiting for a process that holds the lock of a file."""

import fcntl
import time
from pathlib import Path


def is_free_within(path: Path, seconds: float) -> bool:
    """Wait until no process holds the lock of a file; whether that came in time.

    Where a file system has no locks, nobody holds any.

    Args:
        path: of a file that is there.
        seconds: how long to wait at most.
    """
    end = time.monotonic() + seconds
    with path.open() as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    return False
                time.sleep(0.1)
            except OSError:  # a file system without locks
                return True
            else:
                return True

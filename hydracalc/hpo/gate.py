"""Where a trial waits at its rungs for the word of the search, and notices that the search is gone.

Both sides talk through files of the trial's folder: the trial writes metrics.jsonl, the search
answers with verdict-0, verdict-1, ..., "go on" or "end". So a rung costs the same epochs however
fast they are and however busy the search is.
"""

import fcntl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hydracalc.hpo.config import FidelityConfig
from hydracalc.hpo.curve import METRICS_FILE, progress_of, validations
from hydracalc.hpo.journal import LOCK

GO_ON, END = "go on", "end"
_WAIT_S = 0.02
_LOOK_S = 0.2


def verdict_file(trial: Path, rung: int) -> Path:
    """Where the search's word for a rung is."""
    return trial / f"verdict-{rung}"


def say(trial: Path, rung: int, word: str) -> None:
    """Answer a trial."""
    unfinished = trial / f".verdict-{rung}"
    unfinished.write_text(word)
    unfinished.rename(verdict_file(trial, rung))


class Gate:
    """Asked between steps by the root of a trial whether it is to end.

    Args:
        trial: folder.
        rungs: parts of the whole trial after which there is a word.
        fidelity: what the whole trial is.
        is_leaving: asked while waiting; true where the trial is to end for another reason.
    """

    def __init__(
        self,
        trial: Path,
        rungs: Sequence[float],
        *,
        fidelity: FidelityConfig,
        is_leaving: Callable[[], bool],
    ) -> None:
        self._trial = trial
        self._rungs = rungs
        self._fidelity = fidelity
        self._is_leaving = is_leaving
        self._size = -1
        self._passed = 0

    def is_ending(self) -> bool:
        """Whether the trial ends here; waits at a rung for the word."""
        if self._is_leaving():
            return True
        while self._passed < len(self._rungs) and self._is_at_rung():
            if self._wait() == END:
                return True
            self._passed += 1
        return False

    def _is_at_rung(self) -> bool:
        """Whether a validation at the next rung or after it was written since the last look."""
        path = self._trial / METRICS_FILE
        size = path.stat().st_size if path.exists() else 0
        if size == self._size:
            return False
        records = validations(self._trial)
        done = max((progress_of(record, self._fidelity) for record in records), default=0.0)
        if done > self._rungs[self._passed] - 1e-9:
            return True
        self._size = size
        return False

    def _wait(self) -> str:
        path = verdict_file(self._trial, self._passed)
        while not path.exists():
            if self._is_leaving():
                return END
            time.sleep(_WAIT_S)
        return path.read_text()


class Leader:
    """The process that leads the search, as its trials see it.

    Args:
        search: folder.
        token: that the leader gave its trials.
    """

    def __init__(self, search: Path, token: str) -> None:
        self._lock = search / LOCK
        self._token = token
        self._looked = time.monotonic()
        self._is_gone = False

    def is_gone(self) -> bool:
        """Whether it has ended: it holds a lock for as long as it lives. Looks now and then."""
        now = time.monotonic()
        if not self._is_gone and now - self._looked > _LOOK_S:
            self._looked = now
            self._is_gone = self._look()
        return self._is_gone

    def _look(self) -> bool:
        with self._lock.open() as lock:
            if lock.read() != self._token:
                return True
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:  # no locks on this file system: the token has to do
                return False
            return True

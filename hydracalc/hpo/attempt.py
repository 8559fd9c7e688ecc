"""A trial under way, as the search sees it: it is started, looked at, asked to end, and ends."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hydracalc.hpo import energy, trial
from hydracalc.hpo.config import SearchConfig, TrialConfig
from hydracalc.hpo.curve import METRICS_FILE, CurvePoint, read_curve
from hydracalc.hpo.gate import END, say, verdict_file
from hydracalc.hpo.journal import Trial, as_curve, trial_folder
from hydracalc.hpo.trial import TrialOrder
from hydracalc.locks import is_free_within
from hydracalc.recipe import Recipe, to_toml

POINT = "point.json"
LOG = "log.txt"
DISCARDED = "discarded.json"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a trial runs.

    Attributes:
        search: folder of the search.
        worker: that runs it, from 0.
        token: of the process that leads the search.
    """

    search: Path
    worker: int
    token: str


class Attempt:
    """A trial under way.

    Args:
        number: of the trial.
        values: of the keys that are searched.
        recipe: that it trains.
        config: of the search.
        rungs: parts of the whole trial after which it waits for a word.
        place: where it runs.

    Attributes:
        curve: validations so far.
        reason: why it was asked to end.
    """

    def __init__(
        self,
        number: int,
        values: dict[str, Any],
        *,
        recipe: Recipe,
        config: SearchConfig,
        rungs: Sequence[float],
        place: Place,
    ) -> None:
        self.number = number
        self.values = values
        self.worker = place.worker
        self.folder = trial_folder(place.search, number)
        self.config = config
        self.rungs = tuple(rungs)
        self.curve: list[CurvePoint] = []
        self.reason = ""
        self.begun = time.time()
        self._recipe = recipe
        self._place = place
        self._asked: Literal["", "end", "time"] = ""
        self._asked_at = math.inf
        self._size = -1
        self._before = energy.of_trial(self.folder).seconds
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, or go on from the state that the trial's folder has."""
        order = TrialOrder(
            search=str(self._place.search.absolute()),
            token=self._place.token,
            rungs=self.rungs,
            fidelity=self.config.fidelity,
            energy=self.config.energy,
        )
        trial.give_order(self.folder, order, to_toml(self._recipe))
        trial.write_json(self.folder / POINT, self.values)
        for name in (trial.RESULT, trial.FAILURE):
            (self.folder / name).unlink(missing_ok=True)
        with (self.folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                command(self.config.trial, self._place, self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a signal for the search is not one for its trials
            )

    def recover(self) -> Trial | None:
        """The trial if it had ended before a search was killed that did not write it down."""
        discarded = self.folder / DISCARDED
        if discarded.is_file():
            self._asked, self.reason = "end", json.loads(discarded.read_text())["reason"]
        elif finished(self.folder) in ("", "ended"):
            return None
        self.begun = (self.folder / trial.ORDER).stat().st_mtime
        self._before = 0.0
        return self.outcome()

    @property
    def progress(self) -> float:
        """Part of the whole trial that is done, as of the last validation."""
        return self.curve[-1].progress if self.curve else 0.0

    def look(self) -> list[tuple[int, float]]:
        """Read what is new; rungs, by number, that wait for a word, and the objective there."""
        path = self.folder / METRICS_FILE
        size = path.stat().st_size if path.exists() else 0
        if size != self._size:
            self._size = size
            self.curve = read_curve(self.folder, self.config.objective, self.config.fidelity)
        if self.progress > 1 - 1e-9:  # the training is over, it waits for nothing
            return []
        waiting = []
        for rung, part in enumerate(self.rungs):
            reached = [point for point in self.curve if point.progress > part - 1e-9]
            if reached and not verdict_file(self.folder, rung).exists():
                waiting.append((rung, reached[0].value))
        return waiting

    def answer(self, rung: int, word: str, reason: str = "") -> None:
        """Tell the trial whether it goes on from a rung."""
        if word == END:
            self._asked, self.reason = "end", reason
            self._asked_at = time.monotonic()
            trial.write_json(self.folder / DISCARDED, {"rung": rung, "reason": reason})
        say(self.folder, rung, word)

    def watch_clock(self) -> None:
        """Ask a trial to end whose time is over, and end one that does not follow."""
        limit = self.config.trial.timeout_minutes
        if limit is not None and not self._asked and time.time() - self.begun > 60 * limit:
            self.ask_to_end()
            self._asked = "time"
        if time.monotonic() - self._asked_at > self.config.trial.stop_seconds:
            self.kill()

    def ask_to_end(self) -> None:
        """Let the trial save its state and end."""
        self._asked_at = min(self._asked_at, time.monotonic())
        if self._process is not None and self.is_running:
            self._process.terminate()

    def kill(self) -> None:
        """End all its processes on this machine at once."""
        if self._process is not None and self.is_running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def is_asked(self) -> bool:
        """Whether it was asked to end."""
        return self._asked_at < math.inf

    @property
    def is_running(self) -> bool:
        """Whether its process, or their launcher, is there."""
        return self._process is not None and self._process.poll() is None

    def outcome(self) -> Trial | None:
        """The trial, once it is not running; None if it saved its state to go on another time."""
        self.look()
        if self._asked == "time":
            limit = self.config.trial.timeout_minutes
            return self._ended("failed", f"timed out after {limit:g} minutes")
        if self._asked == "end":
            return self._ended("discarded", self.reason)
        status = finished(self.folder)
        if status == "done":
            return self._finished()
        if self._asked_at < math.inf and status in ("", "ended"):
            return None
        if status == "ended":
            return self._ended("failed", "ended by a signal that was not the search's")
        return self._ended("failed", status or self._death())

    def _death(self) -> str:
        code = None if self._process is None else self._process.returncode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            why = ", perhaps for want of memory" if name == "SIGKILL" else ""
            return f"killed by {name}{why}"
        return f"ended with exit code {code} and no result; see {LOG}"

    def _finished(self) -> Trial:
        if not self.curve:
            return self._ended("failed", "no validation: the shards have no validation split")
        if not math.isfinite(self.curve[-1].value):
            wanted = ", ".join(self.config.objective.metrics)
            return self._ended("failed", f"the last validation has no number for {wanted}")
        return self._ended("done", "")

    def _ended(self, status: Literal["done", "discarded", "failed"], reason: str) -> Trial:
        last = self.curve[-1] if self.curve else None
        if status == "discarded" and (last is None or not math.isfinite(last.value)):
            status, reason = "failed", f"the validation error is not a number ({reason})"
        used = energy.of_trial(self.folder)
        ended = time.time()
        if self._process is None and (self.folder / METRICS_FILE).is_file():
            ended = (self.folder / METRICS_FILE).stat().st_mtime
        return Trial(
            number=self.number,
            status=status,
            reason=reason,
            values=self.values,
            encoder=self._recipe.model.encoder,
            objective=None if last is None or status == "failed" else last.value,
            metrics={} if last is None else last.metrics,
            curve=as_curve(self.curve),
            epochs=0 if last is None else last.epoch,
            progress=0.0 if last is None else last.progress,
            seconds=self._before + ended - self.begun,
            worker=self.worker,
            begun=self.begun,
            ended=ended,
            energy_joule=used.joules,
            energy_source=used.source,
            energy_is_estimate=used.is_estimate or not used.source,
        )


def finished(folder: Path) -> str:
    """What a trial's folder says: "done", "ended", the reason of a failure, or nothing."""
    if (folder / trial.RESULT).is_file():
        return str(json.loads((folder / trial.RESULT).read_text())["status"])
    if (folder / trial.FAILURE).is_file():
        return str(json.loads((folder / trial.FAILURE).read_text())["reason"])
    return ""


def command(config: TrialConfig, place: Place, folder: Path) -> list[str]:
    """Words that start a trial."""
    launcher = config.launcher
    if config.ranks > 1 and not launcher:
        beside = Path(sys.executable).with_name("mpiexec")
        launcher = (str(beside) if beside.is_file() else "mpiexec", "-n", "{ranks}")
    filled = {"{ranks}": config.ranks, "{worker}": place.worker, "{folder}": folder}
    words = []
    for word in launcher:
        for name, value in filled.items():
            word = word.replace(name, str(value))
        words.append(word)
    return [*words, sys.executable, "-m", "hydracalc.hpo.trial", str(folder)]


def wait_for_orphan(folder: Path, seconds: float) -> None:
    """Wait until a trial of a search that was killed has noticed, and has ended.

    Raises:
        ValueError: it still runs.
    """
    path = folder / trial.RUNNING
    if not path.is_file():
        return
    if not is_free_within(path, seconds):
        raise ValueError(f"{folder}: a process still runs this trial after {seconds:g} s; end it")

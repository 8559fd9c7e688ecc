"""A search: trials in processes of their own, as many at a time as there are workers."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydracalc.hpo import journal
from hydracalc.hpo.attempt import POINT, Attempt, Place, wait_for_orphan
from hydracalc.hpo.config import SearchConfig
from hydracalc.hpo.discarding import at_rung, expected_end, is_discarded, rungs_of
from hydracalc.hpo.gate import END, GO_ON
from hydracalc.hpo.journal import Trial
from hydracalc.hpo.sampler import Known, Point, Surrogate, Turn, draw_evenly, num_initial, spread
from hydracalc.hpo.space import Space
from hydracalc.parallel.ending import Ending
from hydracalc.parallel.launch import detect

logger = logging.getLogger("hydracalc.hpo")

_LOOK_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Warmth:
    """What a search knows of other ones.

    Attributes:
        known: their trials that are in its space.
        left_out: how many are not, by reason.
    """

    known: tuple[Known, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Watcher:
    """Who is told how a search goes.

    Attributes:
        on_trial: told every trial that has ended.
        on_look: told, many times a second, what is under way and what has ended.
    """

    on_trial: Callable[[Trial], None] = lambda _: None  # noqa: E731  # defaults, not names
    on_look: Callable[[Sequence[Attempt], Sequence[Trial]], None] = lambda *_: None  # noqa: E731


def search(
    config: SearchConfig,
    folder: Path,
    *,
    goes_on: bool = False,
    watcher: Watcher | None = None,
) -> list[Trial]:
    """Run trials until there are as many as there are to be.

    Args:
        config: what is searched.
        folder: of the search: search.json, journal.jsonl, and trials/ with a run for each.
        goes_on: continue with the search that the folder holds.
        watcher: told how it goes.

    Returns:
        the trials that have ended, in that order; fewer than were asked for if a signal ended the
        search, which can then go on.

    Raises:
        ValueError: the folder has another search, or none to go on with; a warm start does not fit;
            or the search was started by an MPI launcher.
        DataError: another process leads it, or its journal is damaged.
    """
    launch = detect()
    if launch.kind != "alone":
        raise ValueError(
            f"the search was started by {launch.kind}; start it alone: trial.ranks and "
            "trial.launcher start the ranks of its trials"
        )
    warmth = warm_up(config)
    journal.begin(folder, config, goes_on=goes_on)
    with ExitStack() as stack:
        token = stack.enter_context(journal.only_writer(folder))
        ending = stack.enter_context(Ending(launch))
        led = _Search(config, folder, token=token, warmth=warmth, watcher=watcher or Watcher())
        if config.sampler == "cbo":
            led.surrogate = stack.enter_context(Surrogate(folder))
        stack.enter_context(led.ended_in_any_case())
        led.run(lambda: ending.heard is not None)
    return led.trials


def warm_up(config: SearchConfig) -> Warmth:
    """Trials of the searches that a search is to know from the beginning.

    Raises:
        ValueError: one has another objective or fidelity, so that its errors mean something else.
    """
    known, left_out = [], dict[str, int]()
    for name in config.warm_start:
        other = journal.read_settings(Path(name))
        for key in ("objective", "fidelity"):
            mine, theirs = config.to_json()[key], other.to_json()[key]
            if mine != theirs:
                raise ValueError(f"warm start from {name}: its {key} is {theirs}, not {mine}")
        trials = journal.read_journal(Path(name))
        for trial, objective in zip(trials, told(trials), strict=True):
            try:
                known.append(
                    Known(point=Space(config.space).locate(trial.values), objective=objective)
                )
            except ValueError as error:
                left_out[str(error)] = left_out.get(str(error), 0) + 1
    if known or left_out:
        logger.info("warm start: %d trials", len(known))
    for reason, count in left_out.items():
        logger.warning("warm start: %d trials left out: %s", count, reason)
    return Warmth(known=tuple(known), left_out=left_out)


def told(trials: Sequence[Trial]) -> list[float | None]:
    """Objectives as the surrogate is told them: discarded trials at their expected end."""
    finished = [trial.points for trial in trials if trial.status == "done"]
    return [
        expected_end(trial.objective, trial.progress, finished)
        if trial.status == "discarded" and trial.objective is not None
        else trial.objective
        for trial in trials
    ]


class _Search:
    """The loop of a search and what it keeps between its turns."""

    def __init__(
        self, config: SearchConfig, folder: Path, *, token: str, warmth: Warmth, watcher: Watcher
    ) -> None:
        self.config = config
        self.folder = folder
        self.space = Space(config.space)
        self.trials = journal.read_journal(folder, repair=True)
        self.running: list[Attempt] = []
        self.surrogate: Surrogate | None = None
        self._token = token
        self._warmth = warmth
        self._watcher = watcher
        self._rungs = rungs_of(config.discarding, config.fidelity.epochs)
        known = {trial.number for trial in self.trials}
        begun = {int(path.parent.name): path for path in (folder / "trials").glob(f"*/{POINT}")}
        self._unfinished = sorted((n, begun[n]) for n in begun.keys() - known)
        self._next = max([*known, *begun], default=-1) + 1

    def run(self, is_ending: Callable[[], bool]) -> None:
        """Until all trials have ended, or all under way have saved their state."""
        while True:
            if is_ending():
                self._end_all()
                return
            while self._has_place():
                self._begin_one()
            if not self.running:
                return
            self._look()
            self._watcher.on_look(self.running, self.trials)
            time.sleep(_LOOK_S)

    @contextmanager
    def ended_in_any_case(self) -> Iterator[None]:
        """No trial outlives the block; one that was interrupted has a moment to save its state."""
        try:
            yield
        finally:
            for attempt in self.running:
                attempt.ask_to_end()
            deadline = time.monotonic() + self.config.trial.stop_seconds
            while any(a.is_running for a in self.running) and time.monotonic() < deadline:
                time.sleep(_LOOK_S)
            for attempt in self.running:
                attempt.kill()

    def _has_place(self) -> bool:
        is_wanted = len(self.trials) + len(self.running) < self.config.trials
        return is_wanted and len(self.running) < self.config.workers

    def _begin_one(self) -> None:
        """Start the next trial, or go on with one that a search before this one left."""
        if self._unfinished:
            number, path = self._unfinished.pop(0)
            values = json.loads(path.read_text())
            is_old = True
        else:
            number, self._next = self._next, self._next + 1
            values = self.space.values(self._point(number))
            is_old = False
        taken = {attempt.worker for attempt in self.running}
        worker = next(n for n in range(self.config.workers) if n not in taken)
        try:
            recipe = self.config.trial_recipe(values, name=f"{self.config.name}-{number:04d}")
        except ValueError as error:
            self._write_down(_refused(number, values, worker, str(error)))
            return
        attempt = Attempt(
            number,
            values,
            recipe=recipe,
            config=self.config,
            rungs=self._rungs,
            place=Place(search=self.folder, worker=worker, token=self._token),
        )
        if is_old:
            wait_for_orphan(attempt.folder, 2 * self.config.trial.stop_seconds)
            before = attempt.recover()
            if before is not None:
                self._write_down(before)
                return
        attempt.start()
        self.running.append(attempt)

    def _point(self, number: int) -> Point:
        config = self.config
        turn = Turn(seed=config.seed, number=number, trials=config.trials)
        if self.surrogate is None:
            return draw_evenly(self.space, turn)
        known = [
            *self._warmth.known,
            *(
                Known(point=self.space.locate(trial.values), objective=objective)
                for trial, objective in zip(self.trials, told(self.trials), strict=True)
            ),
        ]
        initial = num_initial(self.space, initial=config.initial, trials=config.trials)
        has_begun = number + len(self._warmth.known) < initial
        if has_begun or not any(each.objective for each in known):
            return spread(self.space, turn)
        pending = [self.space.locate(attempt.values) for attempt in self.running]
        return self.surrogate.ask(self.space, known, pending, turn=turn)

    def _look(self) -> None:
        """Answer trials that wait at a rung; write down those that have ended."""
        for attempt in list(self.running):
            is_running = attempt.is_running  # before it is read: what ends meanwhile is read later
            for rung, value in attempt.look():
                if not attempt.is_asked:
                    self._answer(attempt, rung, value)
            attempt.watch_clock()
            if is_running:
                continue
            ended = attempt.outcome()
            self.running.remove(attempt)
            if ended is None:
                self._unfinished.append((attempt.number, attempt.folder / POINT))
            else:
                self._write_down(ended)

    def _answer(self, attempt: Attempt, rung: int, value: float) -> None:
        part = self._rungs[rung]
        curves = [trial.points for trial in self.trials]
        curves += [each.curve for each in self.running if each is not attempt]
        others = [point.value for c in curves if (point := at_rung(c, part)) is not None]
        if not is_discarded(value, others, self.config.discarding):
            attempt.answer(rung, GO_ON)
            return
        reason = f"{self.config.discarding.rule}: {value:.4g} at {part:.3g} of the trial"
        attempt.answer(rung, END, reason)

    def _write_down(self, trial: Trial) -> None:
        journal.append(self.folder, trial)
        self.trials.append(trial)
        self._watcher.on_trial(trial)

    def _end_all(self) -> None:
        """Let all trials save their state; those that come to their end meanwhile count."""
        for attempt in self.running:
            attempt.ask_to_end()
        while self.running:
            self._look()
            time.sleep(_LOOK_S)


def _refused(number: int, values: dict[str, Any], worker: int, reason: str) -> Trial:
    now = time.time()
    return Trial(
        number=number,
        status="failed",
        reason=f"the recipe refuses it: {reason}",
        values=values,
        encoder="",
        worker=worker,
        begun=now,
        ended=now,
        energy_is_estimate=False,
    )

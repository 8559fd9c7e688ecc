"""The journal of a search: a line for every trial that has ended, on disk before it counts."""

import fcntl
import json
import logging
import math
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from hydracalc.errors import DataError
from hydracalc.hpo.config import SearchConfig
from hydracalc.hpo.curve import CurvePoint

logger = logging.getLogger("hydracalc.hpo")

JOURNAL, SETTINGS, LOCK = "journal.jsonl", "search.json", "writer.lock"
FORMAT_VERSION = 1

# what a search that goes on may change: nothing that decides what its trials are
_FREE = ("trials", "workers", "sampler", "initial", "warm_start", "trial", "energy", "seed", "name")

Status = Literal["done", "discarded", "failed"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial that has ended.

    Attributes:
        number: from 0, in the order of their beginning.
        status: "done" went to its end, "discarded" was ended early, "failed" has no result.
        values: of the keys that are searched.
        encoder: of its model.
        reason: why it was discarded or failed.
        objective: at its last validation; None if it failed.
        metrics: errors there, by the names that search files use.
        curve: part of the trial, epoch and objective of each validation.
        epochs: passes over the data that were made.
        progress: part of a whole trial that was made.
        seconds: from its start to its end, those of earlier attempts included as far as known.
        worker: that ran it.
        begun, ended: seconds since 1970, of the attempt that ended.
        energy_joule: of all its ranks and attempts.
        energy_source: how that was measured.
        energy_is_estimate: whether any part of it is time times stated power.
    """

    number: int
    status: Status
    values: dict[str, Any]
    encoder: str
    worker: int
    begun: float
    ended: float
    reason: str = ""
    objective: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    curve: list[tuple[float, int, float | None]] = field(default_factory=list)
    epochs: int = 0
    progress: float = 0.0
    seconds: float = 0.0
    energy_joule: float = 0.0
    energy_source: str = ""
    energy_is_estimate: bool = True

    @property
    def points(self) -> list[CurvePoint]:
        """The curve."""
        return [
            CurvePoint(
                progress=progress,
                epoch=epoch,
                value=math.nan if value is None else value,
                metrics={},
            )
            for progress, epoch, value in self.curve
        ]

    def row(self) -> dict[str, object]:
        """What `hydracalc.hpo.pareto.select_by` compares trials by, and their name."""
        numbers = {"objective": self.objective, "epochs": self.epochs, "seconds": self.seconds}
        return {
            "name": name_of(self.number),
            **numbers,
            **self.metrics,
            "energy_joule": self.energy_joule,
        }


def name_of(number: int) -> str:
    """Name of a trial and of its folder."""
    return f"{number:04d}"


def trial_folder(search: Path, number: int) -> Path:
    """Where a trial's run is."""
    return search / "trials" / name_of(number)


def as_curve(points: Sequence[CurvePoint]) -> list[tuple[float, int, float | None]]:
    """A curve as the journal has it; what is not a number is null."""
    return [(p.progress, p.epoch, p.value if math.isfinite(p.value) else None) for p in points]


def read_journal(search: Path, *, repair: bool = False) -> list[Trial]:
    """Trials of a search that have ended, in the order in which they did.

    A line that a kill left half written does not count: its trial is still there to be looked at.

    Args:
        search: folder.
        repair: also take such a line out of the file.

    Raises:
        ValueError: there is no search in the folder.
        DataError: a whole line is damaged, or a trial is there twice.
    """
    if not (search / SETTINGS).is_file():
        raise ValueError(f"{search}: there is no search, which would have {SETTINGS}")
    path = search / JOURNAL
    text = path.read_text() if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    if repair and whole != text:
        os.truncate(path, len(whole.encode()))
    trials = [_trial_of(path, n, line) for n, line in enumerate(whole.splitlines(), start=1)]
    numbers = [trial.number for trial in trials]
    if len(set(numbers)) < len(numbers):
        raise DataError(f"{path}: trials {sorted(numbers)}, expected each once")
    return trials


def _trial_of(path: Path, number: int, line: str) -> Trial:
    known = {each.name for each in fields(Trial)}
    try:
        table = json.loads(line)
        trial = Trial(**{key: table[key] for key in known & table.keys()})
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise DataError(f"{path}, line {number}: no trial: {error}") from None
    return replace(trial, curve=[(p, e, v) for p, e, v in trial.curve])


def append(search: Path, trial: Trial) -> None:
    """Write down a trial; it is on the disk when this returns."""
    table = asdict(trial)
    table["metrics"] = {k: v for k, v in trial.metrics.items() if math.isfinite(v)}
    with (search / JOURNAL).open("a") as file:
        file.write(json.dumps(table, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_settings(search: Path) -> SearchConfig:
    """What a search was begun with.

    Raises:
        ValueError: there is no search in the folder.
        DataError: its settings are damaged.
    """
    path = search / SETTINGS
    try:
        table: Mapping[str, Any] = json.loads(path.read_text())
        if table.get("format_version") == FORMAT_VERSION:
            return TypeAdapter(SearchConfig).validate_python(table["search"])
    except FileNotFoundError:
        raise ValueError(f"{search}: there is no search, which would have {SETTINGS}") from None
    except (json.JSONDecodeError, KeyError, AttributeError, ValidationError) as error:
        raise DataError(f"{path}: the settings are damaged: {error}") from None
    raise ValueError(f"{path}: format {table.get('format_version')}, expected {FORMAT_VERSION}")


def begin(search: Path, config: SearchConfig, *, goes_on: bool) -> None:
    """Make the folder of a search, or make sure that the one in it is this one.

    Raises:
        ValueError: there is another search, or none to go on with.
    """
    path = search / SETTINGS
    if not goes_on:
        if path.exists():
            raise ValueError(f"{search} holds a search already; resume it or take another folder")
        search.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new")
        table = {"format_version": FORMAT_VERSION, "search": config.to_json()}
        unfinished.write_text(json.dumps(table, indent=2) + "\n")
        unfinished.rename(path)
        return
    begun, given = read_settings(search).to_json(), config.to_json()
    changed = [key for key in given if begun.get(key) != given[key] and key not in _FREE]
    if changed:
        told = ", ".join(f"{key} was {begun.get(key)}, is {given[key]}" for key in changed)
        raise ValueError(f"{search}: begun as another search: {told}")


@contextmanager
def only_writer(search: Path) -> Iterator[str]:
    """Let no other process lead the same search meanwhile; gives what its trials know it by.

    Raises:
        DataError: another process leads it.
    """
    with (search / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{search}: another process leads this search") from None
        except OSError:
            logger.warning("%s: a file system without locks; start no second process", search)
        token = secrets.token_hex(8)
        lock.truncate(0)
        lock.write(token)
        lock.flush()
        yield token

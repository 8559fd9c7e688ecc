"""What a search came to: the best, epochs saved, energy spent and wasted, how busy workers were."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydracalc.hpo import latency, pareto
from hydracalc.hpo.journal import Trial, name_of

# what the front is over, where all of it is known
FRONT_KEYS = ("objective", "latency_ms", "energy_joule")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A search in numbers.

    Attributes:
        counts: trials by what became of them.
        best: name of the best trial that went to its end; empty if there is none.
        objective: of the best.
        epochs: passes over the data that were made.
        epochs_saved: that discarded trials did not make.
        saved: part of the epochs of all trials that were not failures which that is.
        energy_joule: of all trials.
        energy_discarded_joule: of discarded trials: what was learned from them is what they lost.
        energy_failed_joule: of those that failed.
        energy_source: how that was measured.
        energy_is_estimate: whether any part is time times stated power.
        busy: part of the workers' time that trials ran; while none ran, the search did not.
    """

    counts: dict[str, int]
    best: str
    objective: float | None
    epochs: int
    epochs_saved: float
    saved: float
    energy_joule: float
    energy_discarded_joule: float
    energy_failed_joule: float
    energy_source: str
    energy_is_estimate: bool
    busy: float


def summarize(trials: Sequence[Trial]) -> Summary:
    """Numbers of trials that have ended."""
    whole = [t for t in trials if t.status != "failed"]
    best = best_of(trials)
    saved = [t.epochs / t.progress - t.epochs for t in whole if t.status == "discarded"]
    made = sum(trial.epochs for trial in whole)
    return Summary(
        counts={s: sum(t.status == s for t in trials) for s in ("done", "discarded", "failed")},
        best="" if best is None else name_of(best.number),
        objective=None if best is None else best.objective,
        epochs=sum(trial.epochs for trial in trials),
        epochs_saved=sum(saved),
        saved=sum(saved) / max(made + sum(saved), 1e-12),
        energy_joule=_joules(trials),
        energy_discarded_joule=_joules([t for t in trials if t.status == "discarded"]),
        energy_failed_joule=_joules([t for t in trials if t.status == "failed"]),
        energy_source="; ".join(dict.fromkeys(t.energy_source for t in trials if t.energy_source)),
        energy_is_estimate=any(trial.energy_is_estimate for trial in trials),
        busy=busy_part(trials),
    )


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the smallest objective among those that went to their end."""
    done = [trial for trial in trials if trial.status == "done" and trial.objective is not None]
    return min(done, key=lambda trial: trial.objective or 0.0, default=None)


def _joules(trials: Sequence[Trial]) -> float:
    return sum(trial.energy_joule for trial in trials)


def busy_part(trials: Sequence[Trial]) -> float:
    """Part of the workers' time that trials ran, 0 to 1."""
    times, running = workers_at(trials)
    spans = np.diff(times) * (running[:-1] > 0)
    if not spans.sum():
        return 0.0
    workers = len({trial.worker for trial in trials})
    return float((running[:-1] * spans).sum() / (workers * spans.sum()))


def workers_at(trials: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """Moments at which a trial began or ended, s, and how many ran from each of them on."""
    events = sorted([(t.begun, 1) for t in trials] + [(t.ended, -1) for t in trials])
    times = np.array([time for time, _ in events])
    return times, np.cumsum([change for _, change in events])


def rows_of(search: Path, trials: Sequence[Trial]) -> list[dict[str, object]]:
    """Trials that went to their end as `select_by` compares them; latency where it is measured."""
    times = latency.read(search)
    rows = [trial.row() for trial in trials if trial.status == "done"]
    for row in rows:
        if row["name"] in times:
            row["latency_ms"] = times[str(row["name"])]
    return rows


def front_of(
    rows: Sequence[dict[str, object]], keys: Sequence[str] = ()
) -> list[dict[str, object]]:
    """Rows that no other row beats in everything, smallest trade-off first; name and keys alone.

    Args:
        rows: of `rows_of`.
        keys: what counts; none is error, latency and energy, as far as all rows have them.

    Raises:
        ValueError: a row lacks a key that was given.
    """
    chosen = tuple(keys) or tuple(key for key in FRONT_KEYS if all(key in row for row in rows))
    if not rows:
        return []
    order = pareto.select_by(rows, chosen)
    is_best = pareto.front(pareto.table_of(rows, chosen))
    return [
        {key: rows[index][key] for key in ("name", *chosen)} for index in order if is_best[index]
    ]

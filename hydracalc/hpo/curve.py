"""How a trial's validation error goes, read from the metrics.jsonl of its run."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydracalc.hpo.config import METRICS, FidelityConfig, ObjectiveConfig

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One validation of a trial.

    Attributes:
        progress: part of the whole trial that was done, 0 to 1.
        epoch: epochs that were done.
        value: of the objective; not a number where the errors are not.
        metrics: each known error, as one number over branches.
    """

    progress: float
    epoch: int
    value: float
    metrics: dict[str, float]


def progress_of(record: Mapping[str, object], fidelity: FidelityConfig) -> float:
    """Part of a trial that is done at a record of metrics.jsonl, by epochs or by time."""
    done = float(record["epoch"]) / fidelity.epochs  # type: ignore[arg-type]
    if fidelity.minutes is not None:
        done = max(done, float(record["seconds"]) / (60 * fidelity.minutes))  # type: ignore[arg-type]
    return min(done, 1.0)


def validations(folder: Path) -> list[dict[str, object]]:
    """Records of validations in a run's folder, one for each epoch, in order.

    A line that is being written is left for later; of an epoch that was done again, after a kill,
    the last record counts.
    """
    try:
        text = (folder / METRICS_FILE).read_text()
    except FileNotFoundError:
        return []
    found: dict[int, dict[str, object]] = {}
    for line in text[: text.rfind("\n") + 1].splitlines():
        record = json.loads(line)
        if "seconds" in record:
            found[record["epoch"]] = record
    return [found[epoch] for epoch in sorted(found)]


def read_curve(
    folder: Path, objective: ObjectiveConfig, fidelity: FidelityConfig
) -> list[CurvePoint]:
    """Validations of a trial so far."""
    points = []
    for record in validations(folder):
        metrics = errors_of(record, objective)
        parts = [w * metrics.get(name, math.nan) for name, w in objective.metrics.items()]
        points.append(
            CurvePoint(
                progress=progress_of(record, fidelity),
                epoch=int(record["epoch"]),  # type: ignore[call-overload]
                value=sum(parts),
                metrics=metrics,
            )
        )
    return points


def errors_of(record: Mapping[str, object], objective: ObjectiveConfig) -> dict[str, float]:
    """Each known error of a validation, as one number over the branches that have it.

    Args:
        record: keys "val/<branch>/<metric>"; null is not a number.
        objective: which branches, and how they become one number.

    Raises:
        ValueError: the record has none of a branch that is named.
    """
    table: dict[str, dict[str, float]] = {}
    for key, value in record.items():
        if key.startswith("val/"):
            _, branch, name = key.split("/")
            number = float(value) if isinstance(value, int | float) else math.nan
            table.setdefault(branch, {})[name] = number
    chosen = objective.branches or tuple(table)
    missing = [branch for branch in chosen if branch not in table]
    if missing:
        raise ValueError(
            f"objective: no validation errors of branch {missing[0]!r}, "
            f"there are those of {', '.join(table) or 'none'}"
        )
    found: dict[str, float] = {}
    for name, key in METRICS.items():
        values = np.array([table[branch][key] for branch in chosen if key in table[branch]])
        if len(values):
            is_mean = objective.over_branches == "mean"
            found[name] = float(values.mean() if is_mean else np.exp(np.log(values).mean()))
    return found

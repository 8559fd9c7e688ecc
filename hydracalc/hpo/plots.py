"""Pictures of searches: how the best came down, how busy the workers were, the front, the proxy."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hydracalc.hpo.journal import Trial
from hydracalc.hpo.proxy import ProxyReport
from hydracalc.hpo.summary import workers_at
from hydracalc.validation.pictures import (
    ACCENT,
    FAINT,
    INK,
    SECOND,
    as_png,
    new_figure,
    short,
    tidy,
)

_WIDTH, _HEIGHT = 6.4, 3.2
_MARKS = {"done": ("o", ACCENT), "discarded": ("x", FAINT)}


def progress(trials: Sequence[Trial], objective: str) -> bytes:
    """Objective of each trial in the order of their ends, and the best so far, as PNG."""
    figure = new_figure(_WIDTH, _HEIGHT)
    axes = figure.subplots()
    for status, (mark, color) in _MARKS.items():
        found = [(n, t.objective) for n, t in enumerate(trials, start=1) if t.status == status]
        if found:
            axes.plot(*zip(*found, strict=True), mark, color=color, label=status, markersize=5)
    failed = [n for n, t in enumerate(trials, start=1) if t.status == "failed"]
    if failed:
        place = axes.get_xaxis_transform()
        axes.plot(failed, [0.02] * len(failed), "v", color=SECOND, label="failed", transform=place)
    done = [t.objective if t.status == "done" else math.inf for t in trials]
    best = np.minimum.accumulate(np.array([math.inf if v is None else v for v in done]))
    numbers = np.arange(1, len(trials) + 1)
    shown = np.isfinite(best)
    axes.step(numbers[shown], best[shown], where="post", color=ACCENT, label="best so far")
    axes.set_xlabel("trials that have ended", color=INK, fontsize=9)
    axes.set_ylabel(objective, color=INK, fontsize=9)
    if shown.any():
        axes.set_yscale("log")
        _plain(axes.yaxis)
    axes.legend(frameon=False, fontsize=8)
    tidy(axes, grid="y")
    return as_png(figure)


def workers(trials: Sequence[Trial]) -> bytes:
    """What each worker did when, and how many were busy, as PNG."""
    figure = new_figure(_WIDTH, _HEIGHT)
    bars, line = figure.subplots(2, height_ratios=[2, 1], sharex=True)
    start = min((trial.begun for trial in trials), default=0.0)
    colors = {"done": ACCENT, "discarded": FAINT, "failed": SECOND}
    for status, color in colors.items():
        found = [trial for trial in trials if trial.status == status]
        if not found:
            continue
        bars.barh(
            [trial.worker for trial in found],
            [(trial.ended - trial.begun) / 60 for trial in found],
            left=[(trial.begun - start) / 60 for trial in found],
            height=0.8,
            color=color,
            edgecolor="white",
            linewidth=0.6,
            label=status,
        )
    times, running = workers_at(trials)
    line.step((times - start) / 60, running, where="post", color=INK)
    line.set_ylabel("busy", color=INK, fontsize=9)
    line.set_xlabel("minutes", color=INK, fontsize=9)
    bars.set_ylabel("worker", color=INK, fontsize=9)
    bars.set_yticks(sorted({trial.worker for trial in trials}))
    bars.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    for axes in (bars, line):
        tidy(axes)
    return as_png(figure)


def front(
    rows: Sequence[dict[str, object]], best: Sequence[dict[str, object]], energy: str
) -> bytes:
    """Error against energy, the front marked and latency as size where it is known, as PNG.

    Args:
        rows: of all trials that went to their end.
        best: those that are not dominated; their names count.
        energy: label of the energy's axis, which says whether it is an estimate.
    """
    names = {row["name"] for row in best}
    columns = ("energy_joule", "objective", "latency_ms")
    table = np.array([[row.get(key, 1.0) for key in columns] for row in rows], dtype=np.float64)
    is_best = np.array([row["name"] in names for row in rows])
    figure = new_figure(_WIDTH, _HEIGHT + 0.4)
    axes = figure.subplots()
    for chosen, color, label in (
        (~is_best, FAINT, "other trials"),
        (is_best, ACCENT, "not dominated"),
    ):
        joules, errors, times = table[chosen].T
        sizes = 20 + 80 * times / table[:, 2].max()
        axes.scatter(joules, errors, s=sizes, color=color, label=label)
    axes.set_xlabel(energy, color=INK, fontsize=9)
    axes.set_ylabel("objective", color=INK, fontsize=9)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        _plain(axis)
    is_timed = any("latency_ms" in row for row in rows)
    tidy(axes, title="size: latency" if is_timed else "", grid="both")
    axes.legend(frameon=False, fontsize=8)
    return as_png(figure)


def _plain(axis: Axis) -> None:
    """Numbers without powers of ten, few of them: the logarithm of a short range has many ticks."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0)))


def proxies(reports: Sequence[ProxyReport]) -> bytes:
    """Rank correlation with the final error over the trial, a panel for each encoder, as PNG."""
    figure = new_figure(_WIDTH, 2.4 * len(reports))
    for axes, each in zip(figure.subplots(len(reports), squeeze=False)[:, 0], reports, strict=True):
        _proxy(axes, each)
    return as_png(figure)


def _proxy(axes: Axes, report: ProxyReport) -> None:
    parts = [each.progress for each in report.agreements]
    low, high = ([getattr(each, end) for each in report.agreements] for end in ("low", "high"))
    axes.fill_between(parts, low, high, color=ACCENT, alpha=0.15, linewidth=0)
    axes.plot(parts, [each.spearman for each in report.agreements], "o-", color=ACCENT)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlim(0, 1)
    axes.set_xlabel("part of the trial", color=INK, fontsize=9)
    axes.set_ylabel("Spearman", color=INK, fontsize=9)
    told = report.refused or f"{report.num_trials} trials, 95 % interval"
    tidy(axes, title=f"{report.title}: {told}", grid="y")

"""Labels against predictions as a picture: dots while they are few, hexagons shaded by number."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hydracalc.validation.branch_errors import PROPERTIES, BranchErrors
from hydracalc.validation.evaluation import Evaluation
from hydracalc.validation.evaluation_table import MEV, UNITS
from hydracalc.validation.parity_grid import ParityCells, ParityGrid
from hydracalc.validation.pictures import (
    ACCENT,
    COUNTS,
    FAINT,
    INK,
    new_figure,
    pretty,
    short,
    tidy,
)

_AXES = {
    "energy": "energy beyond references, eV/atom",
    "forces": "force component, eV/Å",
    "stress": "stress component, eV/Å$^3$",
}
_HEXAGONS = 56  # across a panel
_INCHES = 3.9
# part of labels and predictions that decides what is shown; the rest is counted
_SHOWN = (0.0005, 0.9995)
_MARGIN = 0.04
# a cell is spread over so many places on each side, or its pattern would show among the hexagons
_SPREAD = 3


def draw(reports: Sequence[Evaluation], path: Path) -> None:
    """Write a row of panels for each branch; the format is that of the file's ending.

    Args:
        reports: of `evaluate`.
        path: .png, .pdf, .svg.

    Raises:
        ValueError: there is nothing to draw, or the ending is no picture's.
    """
    rows = [(name, e) for report in reports for name, e in report.branches.items() if e.parity]
    if not rows:
        raise ValueError("no labels to draw")
    shown = [name for name in PROPERTIES if any(name in errors.parity for _, errors in rows)]
    figure = new_figure(_INCHES * len(shown), _INCHES * len(rows))
    grid = figure.subplots(len(rows), len(shown), squeeze=False)
    for line, (branch, errors) in zip(grid, rows, strict=True):
        for axes, name in zip(line, shown, strict=True):
            if name in errors.parity:
                _panel(axes, name, errors)
                axes.set_title(f"{branch}: {axes.get_title(loc='left')}", fontsize=9, loc="left")
            else:
                axes.set_axis_off()
    figure.savefig(path, dpi=150)


def parity_figure(errors: BranchErrors) -> Figure:
    """A panel for each labelled property."""
    shown = [name for name in PROPERTIES if name in errors.parity]
    figure = new_figure(_INCHES * len(shown), _INCHES)
    for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _panel(axes, name, errors)
    return figure


def _panel(axes: Axes, name: str, errors: BranchErrors) -> None:
    grid = errors.parity[name]
    cells = grid.cells()
    low, high = _view(cells)
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1, zorder=1)
    if cells.width:
        _hexagons(axes, cells, low, high)
    else:
        size = 14 if len(cells.labels) < 200 else 5
        axes.scatter(cells.labels, cells.predictions, s=size, alpha=0.55, color=ACCENT, linewidth=0)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel(f"label: {_AXES[name]}", fontsize=8.5, color=INK)
    axes.set_ylabel("prediction", fontsize=8.5, color=INK)
    mae, rmse = (float(e[0]) / MEV for e in (errors.total.errors[name].mae, _rmse(errors, name)))
    tidy(axes, title=f"MAE {short(mae)}, RMSE {short(rmse)} {pretty(UNITS[name])}")
    _tell_hidden(axes, grid, cells, (low, high))


def _rmse(errors: BranchErrors, name: str) -> np.ndarray:
    return errors.total.errors[name].rmse.numpy()


def _view(cells: ParityCells) -> tuple[float, float]:
    """Range of both axes: nearly all labels and predictions."""
    ends = [
        np.array(
            [_quantile(values, cells.counts, share) for values in (cells.labels, cells.predictions)]
        )
        for share in _SHOWN
    ]
    # predictions far from every label would squeeze the rest
    span = max(ends[1][0] - ends[0][0], 1e-6)
    low = max(ends[0].min(), ends[0][0] - span / 2)
    high = min(ends[1].max(), ends[1][0] + span / 2)
    margin = _MARGIN * (high - low)
    return float(low - margin), float(high + margin)


def _quantile(values: np.ndarray, counts: np.ndarray, share: float) -> float:
    order = np.argsort(values)
    below = np.cumsum(counts[order]) / counts.sum()
    place = min(int(np.searchsorted(below, share)), len(values) - 1)
    return float(values[order][place])


def _hexagons(axes: Axes, cells: ParityCells, low: float, high: float) -> None:
    steps = (np.arange(_SPREAD) - (_SPREAD - 1) / 2) / _SPREAD * cells.width
    right, up = (each.ravel() for each in np.meshgrid(steps, steps))
    drawn = axes.hexbin(
        (cells.labels[:, None] + right).ravel(),
        (cells.predictions[:, None] + up).ravel(),
        C=np.repeat(cells.counts / _SPREAD**2, _SPREAD**2),
        reduce_C_function=np.sum,
        gridsize=_HEXAGONS,
        extent=(low, high, low, high),
        cmap=COUNTS,
        norm=LogNorm(vmin=0.3),
        linewidths=0.1,
    )
    assert axes.figure is not None
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.7, pad=0.02)
    bar.ax.tick_params(labelsize=7, colors=INK)
    bar.outline.set_visible(False)


def _tell_hidden(
    axes: Axes, grid: ParityGrid, cells: ParityCells, view: tuple[float, float]
) -> None:
    seen = np.ones(len(cells.labels), dtype=bool)
    for values in (cells.labels, cells.predictions):
        seen &= (values >= view[0]) & (values <= view[1])
    hidden = grid.num_outside + int(cells.counts[~seen].sum())
    if hidden:
        text = f"{hidden:,} of {grid.num_points:,} beyond the panel"
        axes.text(0.03, 0.95, text, transform=axes.transAxes, fontsize=7.5, color=FAINT)

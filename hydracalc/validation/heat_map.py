"""The transfer matrix and what single-task models say to it, as pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hydracalc.validation.evaluation_table import MEV
from hydracalc.validation.negative_transfer import HELPED, HURT, Comparison
from hydracalc.validation.pictures import ERRORS, FAINT, INK, new_figure, short, tidy
from hydracalc.validation.transfer_matrix import TransferMatrix

_MOST = 30.0  # times the best of a column, where the shade ends
_BESIDE = 4  # columns of two maps that fit beside each other
_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10)
_GREEN, _RED = "#2f855a", "#c53030"
_TITLES = {"force": "force MAE, meV/Å", "energy": "energy MAE after refit, meV/atom"}


def heat_map(matrix: TransferMatrix) -> Figure:
    """Errors of every row on every column; the shade is the multiple of the column's best."""
    width = 1.6 + 0.92 * len(matrix.columns)
    height = 1.3 + 0.5 * len(matrix.rows)
    shape = (1, 2) if len(matrix.columns) <= _BESIDE else (2, 1)
    figure = new_figure(shape[1] * width + 0.6, shape[0] * height)
    for axes, quantity in zip(np.ravel(figure.subplots(*shape)), _TITLES, strict=True):
        _matrix(axes, matrix, quantity)
    return figure


def _matrix(axes: Axes, matrix: TransferMatrix, quantity: str) -> None:
    values, coverage = matrix.values(quantity) / MEV, matrix.coverage()
    for c in range(len(matrix.columns)):
        best = _best(values[:, c], coverage[:, c])
        for r in range(len(matrix.rows)):
            _cell(axes, (c, r), values[r, c], best=best, coverage=coverage[r, c])
    _frame(axes, matrix)
    tidy(axes, title=_TITLES[quantity])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _best(values: np.ndarray, coverage: np.ndarray) -> float:
    """Lowest error of a column among the rows that answer for most of it."""
    known = np.isfinite(values)
    if not known.any():
        return float("nan")
    return float(values[known & (coverage == coverage[known].max())].min())


def _cell(
    axes: Axes, place: tuple[int, int], value: float, *, best: float, coverage: float
) -> None:
    column, row = place
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    if not np.isfinite(value):
        axes.add_patch(Rectangle(place, 1, 1, facecolor="#f2f4f6", edgecolor="white"))
        axes.text(column + 0.5, row + 0.5, "–", color=FAINT, **middle)
        return
    shade = float(np.clip(np.log(max(value, 1e-9) / max(best, 1e-9)) / np.log(_MOST), 0, 1))
    face = colormaps[ERRORS](0.9 * shade)
    axes.add_patch(Rectangle(place, 1, 1, facecolor=face, edgecolor="white"))
    middle["color"] = "white" if shade > 0.72 else INK
    height = row + (0.4 if coverage < 1 else 0.5)
    weight = "bold" if value == best else "normal"
    axes.text(column + 0.5, height, short(value), fontsize=9, fontweight=weight, **middle)
    if coverage < 1:
        axes.text(column + 0.5, row + 0.76, f"{100 * coverage:.2g} % of it", fontsize=6, **middle)


def _frame(axes: Axes, matrix: TransferMatrix) -> None:
    """Names of rows and columns, and a frame around what was trained on."""
    for r in range(len(matrix.rows)):
        for c in range(len(matrix.columns)):
            if matrix.is_own(r, c):
                box = Rectangle((c + 0.04, r + 0.04), 0.92, 0.92, fill=False, edgecolor=INK)
                axes.add_patch(box)
    first = next((r for r, row in enumerate(matrix.rows) if row.is_single), 0)
    if first:
        axes.axhline(first, color=INK, linewidth=1.5)
    axes.set(xlim=(0, len(matrix.columns)), ylim=(len(matrix.rows), 0))
    names = [column.name for column in matrix.columns]
    axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=30, ha="right")
    axes.set_yticks(np.arange(len(matrix.rows)) + 0.5, [row.name for row in matrix.rows])


def ratio_figure(comparisons: Mapping[str, Sequence[Comparison]]) -> Figure:
    """Ratios of errors with their intervals: left of the line training together helped."""
    lines = [(name, each) for name, found in comparisons.items() for each in found]
    figure = new_figure(7.6, 1.2 + 0.36 * len(lines))
    axes = figure.subplots()
    for place, (_, each) in enumerate(lines):
        color = {HELPED: _GREEN, HURT: _RED}.get(each.verdict, FAINT)
        if np.isfinite(each.low):
            axes.plot([each.low, each.high], [place, place], color=color, linewidth=2.5)
        axes.plot([each.ratio], [place], "o", color=color, markersize=7)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_xscale("log")
    ticks = [t for t in _TICKS if _within(t, lines)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(lines)), [f"{name}, {each.quantity}" for name, each in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel("MAE of the multi-task model / MAE of the single-task model", fontsize=8.5)
    tidy(axes, title="Left of the line training together helped, right of it hurt", grid="x")
    return figure


def _within(tick: float, lines: Sequence[tuple[str, Comparison]]) -> bool:
    """Whether a tick is near what is drawn."""
    values = np.array([[each.ratio, each.low, each.high] for _, each in lines])
    return bool(
        np.nanmin([1.0, *values.ravel()]) / 1.3 <= tick <= np.nanmax([1.0, *values.ravel()]) * 1.3
    )

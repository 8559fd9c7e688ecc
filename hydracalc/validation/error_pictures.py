"""Where errors are: over the periodic table, over sizes and forces, and how they spread."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hydracalc import elements
from hydracalc.survey.stats_plot import place_in_table
from hydracalc.validation.branch_errors import BranchErrors
from hydracalc.validation.breakdown import Breakdown
from hydracalc.validation.evaluation_table import MEV
from hydracalc.validation.pictures import (
    ACCENT,
    ERRORS,
    FAINT,
    INK,
    SECOND,
    new_figure,
    short,
    tidy,
)

_EMPTY = "#f2f4f6"
_COLUMNS, _ROWS = 18, 10
WORST_ELEMENTS = 12  # shown as bars


def element_figure(errors: BranchErrors) -> Figure:
    """The periodic table shaded by error of the force; of the energy where there are no forces."""
    name, text = ("forces", "force MAE, meV/Å")
    if "forces" not in errors.by_element.errors:
        name, text = ("energy", "energy MAE of structures with the element, meV/atom")
    figure = new_figure(9.2, 4.6)
    _periodic_table(figure.subplots(), errors.by_element.mae(name) / MEV, text)
    return figure


def _periodic_table(axes: Axes, values: np.ndarray, text: str) -> None:
    known = values[np.isfinite(values)]
    floor = max(float(known.min()), 1e-3)
    norm = LogNorm(vmin=floor, vmax=max(float(known.max()), 1.05 * floor))
    for z in range(1, elements.MAX_ATOMIC_NUMBER + 1):
        row, column = place_in_table(z)
        has = bool(np.isfinite(values[z]))
        shade = float(norm(max(values[z], floor))) if has else 0.0
        face = colormaps[ERRORS](0.85 * shade) if has else _EMPTY
        ink = FAINT if not has else "white" if shade > 0.75 else INK
        axes.add_patch(Rectangle((column, row), 0.95, 0.95, facecolor=face))
        name: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
        middle, height = column + 0.475, row + (0.34 if has else 0.475)
        axes.text(middle, height, elements.symbol(z), fontsize=8.5, **name)
        if has:
            axes.text(middle, row + 0.72, short(values[z]), fontsize=6, **name)
    axes.set(xlim=(0, _COLUMNS), ylim=(_ROWS, 0), aspect="equal")
    axes.set_axis_off()
    axes.set_title(text, fontsize=10, color=INK, loc="left")


def breakdown_figure(errors: BranchErrors) -> Figure:
    """How errors spread, and how they go with number of atoms and with the force."""
    has_forces = "forces" in errors.spread
    figure = new_figure(12.0, 6.2 if has_forces else 3.2)
    grid = figure.subplots(2 if has_forces else 1, 3, squeeze=False)
    _spread(grid[0, 0], errors, "energy")
    _bars(grid[0, 1], errors.by_size, "energy", "atoms of the structure", ACCENT)
    _worst_elements(grid[0, 2], errors)
    if has_forces:
        _spread(grid[1, 0], errors, "forces")
        _bars(grid[1, 1], errors.by_force, "forces", "length of the force label, eV/Å", ACCENT)
        _cosines(grid[1, 2], errors)
    return figure


def _spread(axes: Axes, errors: BranchErrors, name: str) -> None:
    """Which share of the labels has an error below."""
    shares = np.linspace(0.005, 0.995, 199)
    values = np.array(errors.spread[name].quantiles(tuple(shares))) / MEV
    axes.plot(np.maximum(values, 1e-6), 100 * shares, color=ACCENT, linewidth=2)
    middle = float(np.interp(0.5, shares, values))
    axes.plot([middle], [50], "o", color=SECOND, markersize=5)
    axes.annotate(
        f"median {short(middle)}",
        (middle, 50),
        xytext=(8, -4),
        textcoords="offset points",
        fontsize=8,
        color=SECOND,
    )
    unit = "meV/atom" if name == "energy" else "meV/Å"
    axes.set_xscale("log")
    axes.set_xlabel(f"|error|, {unit}", fontsize=8.5)
    axes.set_ylabel("labels with less, %", fontsize=8.5)
    axes.set_ylim(0, 100)
    what = "energies per atom" if name == "energy" else "force components"
    tidy(axes, title=f"Errors of {what}", grid="both")


def _bars(axes: Axes, groups: Breakdown, name: str, text: str, color: str) -> None:
    places = np.flatnonzero(groups.count(name))
    values = groups.mae(name)[places] / MEV
    bars = axes.bar(range(len(places)), values, color=color, width=0.72)
    axes.bar_label(bars, [short(value) for value in values], fontsize=7.5, color=INK, padding=2)
    names = [f"{groups.names[p]}\nn={groups.count(name)[p]:,.0f}" for p in places]
    axes.set_xticks(range(len(places)), [n.replace(" and more", "+") for n in names], fontsize=7)
    axes.set_xlabel(text, fontsize=8.5)
    axes.margins(y=0.15)
    unit = "meV/atom" if name == "energy" else "meV/Å"
    what = "Energy" if name == "energy" else "Force"
    tidy(axes, title=f"{what} MAE, {unit}", grid="y")


def _worst_elements(axes: Axes, errors: BranchErrors) -> None:
    """The elements with the largest errors."""
    name = "forces" if "forces" in errors.by_element.errors else "energy"
    values = errors.by_element.mae(name) / MEV
    known = np.flatnonzero(np.isfinite(values))
    worst = known[np.argsort(values[known])[::-1][:WORST_ELEMENTS]][::-1]
    bars = axes.barh(range(len(worst)), values[worst], color=SECOND, height=0.7)
    axes.bar_label(bars, [short(v) for v in values[worst]], fontsize=7.5, color=INK, padding=2)
    axes.set_yticks(range(len(worst)), [errors.by_element.names[z] for z in worst], fontsize=8)
    axes.margins(x=0.15)
    unit = "force MAE, meV/Å" if name == "forces" else "energy MAE, meV/atom"
    tidy(axes, title=f"Worst elements: {unit}", grid="x")


def _cosines(axes: Axes, errors: BranchErrors) -> None:
    """Whether forces point the right way, by their length."""
    sums = errors.cosine_by_force
    places = np.flatnonzero(sums.count.numpy())
    values = sums.bias.numpy()[places]
    bars = axes.bar(range(len(places)), values, color=ACCENT, width=0.72)
    axes.bar_label(bars, [f"{value:.2f}" for value in values], fontsize=7.5, color=INK, padding=2)
    names = [errors.by_force.names[p].replace(" and more", "+") for p in places]
    axes.set_xticks(range(len(places)), names, fontsize=7)
    axes.set_ylim(min(0.0, float(np.min(values, initial=0.0)) - 0.1), 1.12)
    axes.set_xlabel("length of the force label, eV/Å", fontsize=8.5)
    tidy(axes, title="Mean cosine of predicted and labelled force", grid="y")

"""What folders of shards hold as a picture: elements, energies, forces, what they share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hydracalc import elements

_NOBLE_GASES = (2, 10, 18, 36, 54, 86, 118)
_NUM_GROUPS = 18
_PANELS = (
    ("normalized_energy_eV_per_atom", "energy beyond references, eV/atom"),
    ("force_eV_per_A", "force on an atom, eV/Angstrom"),
    ("num_atoms", "atoms of a structure"),
)
_INCHES = (5.2, 3.3)  # of one panel


def place_in_table(atomic_number: int) -> tuple[int, int]:
    """Row and column of an element in the periodic table, from 0.

    Lanthanides and actinides without their last members are two rows of their own below.
    """
    period = next(i for i, last in enumerate(_NOBLE_GASES) if atomic_number <= last)
    first = 1 if period == 0 else _NOBLE_GASES[period - 1] + 1
    before, behind = atomic_number - first, _NOBLE_GASES[period] - atomic_number
    if period >= 5 and 2 <= before <= 15:  # La to Yb, Ac to No
        return period + 3, before
    if before < 2 and period > 0 or before == 0:
        return period, before
    return period, _NUM_GROUPS - 1 - behind


def draw_stats(
    stats: Sequence[Mapping[str, Any]], path: Path, *, overlap: Mapping[str, Any] | None = None
) -> None:
    """Write a row of panels for each folder; the format is that of the file's ending.

    Args:
        stats: of `collect_stats`, at least one.
        path: .png, .pdf, .svg.
        overlap: of `composition_overlap.overlap`, drawn below; None where there is one folder.

    Raises:
        ValueError: the ending is no picture's.
    """
    rows, columns = len(stats) + (overlap is not None), 1 + len(_PANELS)
    size = (columns * _INCHES[0], rows * _INCHES[1])
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, columns, width_ratios=[1.6] + [1] * len(_PANELS))
    for row, folder in enumerate(stats):
        _periodic_table(figure.add_subplot(grid[row, 0]), folder)
        for column, (name, text) in enumerate(_PANELS, 1):
            axes = figure.add_subplot(grid[row, column])
            _histogram(axes, folder["histograms"].get(name), text)
    if overlap is not None:
        _overlap(figure.add_subplot(grid[-1, :]), overlap)
    figure.savefig(path, dpi=110)


def _periodic_table(axes: Axes, stats: Mapping[str, Any]) -> None:
    """Every element in its place, the darker the more atoms there are."""
    counts = {elements.number(s): n["atoms"] for s, n in stats["elements"].items()}
    most = max(counts.values())
    norm = LogNorm(vmin=min(*counts.values(), most / 10), vmax=most)
    colors = colormaps["viridis_r"]
    for z in range(1, elements.MAX_ATOMIC_NUMBER + 1):
        row, column = place_in_table(z)
        shade = float(norm(counts[z])) if z in counts else None
        face = "#f2f2f2" if shade is None else colors(shade)
        axes.add_patch(Rectangle((column, row), 0.94, 0.94, facecolor=face))
        ink = "#bbbbbb" if shade is None else "black" if shade < 0.5 else "white"
        middle = (column + 0.47, row + 0.47)
        axes.annotate(elements.symbol(z), middle, color=ink, fontsize=7, ha="center", va="center")
    total = sum(stats["num_structures"].values())
    axes.set_title(f"{stats['branch']}: {total:,} structures; shade: atoms, {most:,} at most")
    axes.set(xlim=(0, _NUM_GROUPS), ylim=(10, 0), aspect="equal")
    axes.set_axis_off()


def _histogram(axes: Axes, histogram: Mapping[str, Any] | None, text: str) -> None:
    axes.set_xlabel(text)
    if histogram is None or not any(histogram["counts"]):
        axes.text(0.5, 0.5, "no values", ha="center", transform=axes.transAxes)
        return
    edges = np.array(histogram["edges"])
    axes.stairs(histogram["counts"], edges, fill=True)
    if not np.allclose(np.diff(edges), edges[1] - edges[0]):
        axes.set_xscale("log")
    axes.set_yscale("log")
    outside = histogram["below"] + histogram["above"]
    axes.set_title(f"{outside:,} outside" if outside else "", fontsize="small", loc="right")


def _overlap(axes: Axes, overlap: Mapping[str, Any]) -> None:
    """Which share of a row's structures has a composition of the column's dataset."""
    names, shares = overlap["names"], np.array(overlap["share_of_structures"])
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    for row, line in enumerate(overlap["reduced_formulas"]):
        for column, common in enumerate(line):
            ink = "white" if shares[row, column] > 0.6 else "black"
            text = f"{100 * shares[row, column]:.3g} %\n{common:,}"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_title("structures of the row with a composition of the column; compositions in common")

"""Rows of `hydracalc.planning.split` as tables and as a figure: efficiency, parts of a step."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from hydracalc.planning.layouts import LAYOUTS
from hydracalc.planning.split import Pick, StepSplit, chosen_runs, efficiencies, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# what a field is called, in the order in which it is stacked
PARTS = {
    "compute_s": "compute",
    "collective_s": "sums",
    "idle_s": "waiting",
    "data_s": "data",
    "rest_s": "rest",
}
# colors that the color-blind tell apart too
OF_PARTS = dict(zip(PARTS, ("#0072B2", "#E69F00", "#BBBBBB", "#009E73", "#CC79A7"), strict=True))
OF_LAYOUTS: dict[str, str] = dict(zip(LAYOUTS, ("#000000", "#D55E00", "#56B4E9"), strict=True))
TITLES = {
    "weak": "Weak scaling: the same part of a batch for each rank",
    "strong": "Strong scaling: one batch shared by all ranks",
}
# numbers of ranks whose simulated steps are shown
SHOWN = (2, 16, 128, 1024)
LIMIT = "#DDDDDD"
GAP = 0.9  # between layouts, in widths of a bar


def tell(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, as_markdown: bool = False
) -> None:
    """Print a table, for a screen or for a document."""
    if as_markdown:
        lines = [columns, ["---"] * len(columns), *rows]
        click.echo("\n".join([f"{title}\n", *(f"| {' | '.join(line)} |" for line in lines), ""]))
        return
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(width=150).print(table)


def show(rows: Sequence[StepSplit], *, pick: Pick = "median", as_markdown: bool = False) -> None:
    """A table of each source, run and scaling, of repeats that which is picked."""
    chosen = chosen_runs(rows, pick)
    tables: dict[str, list[Sequence[str]]] = {}
    for (source, run, layout, scaling), own in series(chosen).items():
        lines = tables.setdefault(f"{source}, {run}, {scaling}: ms of a step", [])
        for row, efficiency in zip(own, efficiencies(own, among=chosen), strict=True):
            alike = [
                1e3 * each.step_s
                for each in rows
                if (each.source, each.run, each.layout, each.scaling, each.ranks)
                == (source, run, layout, scaling, row.ranks)
            ]
            lines.append([layout, *_cells(row, alike), f"{100 * efficiency:.0f} %"])
    columns = ["layout", "ranks", "cores", "structures", "step", "least-most"]
    columns += [*PARTS.values(), "CPU ms/structure", "structures/s", "efficiency"]
    for title, lines in tables.items():
        tell(title, columns, lines, as_markdown=as_markdown)


def _cells(row: StepSplit, alike: Sequence[float]) -> list[str]:
    repeated = f"{min(alike):.0f}-{max(alike):.0f}" if len(alike) > 1 else ""
    return [
        f"{row.ranks:,}",
        "" if row.cores is None else str(row.cores),
        f"{row.structures:,.1f}",
        f"{1e3 * row.step_s:.1f}",
        repeated,
        *(f"{1e3 * getattr(row, part):.1f}" for part in PARTS),
        "" if row.cpu_s is None else f"{1e3 * row.cpu_s / row.structures:.2f}",
        f"{row.structures_per_s:,.0f}",
    ]


def draw(rows: Sequence[StepSplit], path: Path) -> None:
    """A column for each run and scaling: efficiency above, parts of a step below.

    Args:
        rows: one of each kind and number of ranks.
        path: its ending decides the format.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    ran = [row for row in rows if row.source != "simulated"]
    simulated = [row for row in rows if row.source == "simulated" and row.ranks in SHOWN]
    bars = [each for each in (ran, simulated) if each]
    columns = sorted({(row.run, row.scaling) for row in rows}, key=lambda c: (c[0], c[1] != "weak"))
    size = (5.6 * len(columns) + 1.6, 3.4 + 3.2 * len(bars))
    with pyplot.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, grid = pyplot.subplots(
            1 + len(bars), len(columns), figsize=size, squeeze=False, layout="constrained"
        )
        for column, (run, scaling) in enumerate(columns):
            own = [row for row in rows if (row.run, row.scaling) == (run, scaling)]
            grid[0, column].set_title(f"{TITLES[scaling]}\n{run}", loc="left", fontsize=10)
            draw_efficiency(grid[0, column], own)
            for axes, those in zip(grid[1:, column], bars, strict=True):
                chosen = [row for row in those if row in own]
                draw_parts(axes, chosen, is_share=those is simulated)
        _legends(list(grid[:, -1]), rows)
        figure.savefig(path, dpi=100)
        pyplot.close(figure)


def draw_efficiency(axes: "Axes", rows: Sequence[StepSplit]) -> None:
    """Structures a second and rank over ranks, in units of the fewest ranks."""
    for (source, _, layout, _), own in series(rows).items():
        color = OF_LAYOUTS[layout]
        style: dict[str, Any] = {
            "simulated": {"linestyle": "-", "linewidth": 1.3, "alpha": 0.8},
            "measured": {"marker": "o", "markersize": 6, "linestyle": ":"},
            "model": {"marker": "D", "markersize": 7, "linestyle": "", "markerfacecolor": "none"},
        }[source]
        values = [100 * each for each in efficiencies(own, among=rows)]
        axes.plot([row.ranks for row in own], values, color=color, **style)
    cores = next((row.cores for row in rows if row.cores), None)
    most = max((row.ranks for row in rows if row.source == "measured"), default=0)
    if cores is not None and most > cores:
        counts = np.geomspace(1, most, 50)
        axes.plot(counts, 100 * np.minimum(1, cores / counts), color=LIMIT, linewidth=5, zorder=0)
    axes.set_xscale("log", base=2)
    ticks = sorted({row.ranks for row in rows})
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#EEEEEE")
    axes.set(xlabel="ranks", ylabel="structures/s and rank, %\nof the base layout on one")


def draw_parts(axes: "Axes", rows: Sequence[StepSplit], *, is_share: bool) -> None:
    """Stacked parts of a step; bars of one layout stand together, measured before planned."""
    place, ticks, labels = 0.0, [], []
    for layout in [each for each in LAYOUTS if any(row.layout == each for row in rows)]:
        begin = place
        own = [row for row in rows if row.layout == layout]
        for ranks in sorted({row.ranks for row in own}):
            alike = sorted((r for r in own if r.ranks == ranks), key=lambda r: r.source == "model")
            for number, row in enumerate(alike):
                _stack(axes, place + number, row, 100 / row.step_s if is_share else 1000)
            ticks.append(place + (len(alike) - 1) / 2)
            labels.append(str(ranks))
            place += len(alike) + 0.3
        _below(axes, (begin + place - 1.3) / 2, layout, OF_LAYOUTS[layout])
        place += GAP
    axes.set_xticks(ticks, labels)
    axes.tick_params(axis="x", length=0)
    # room for the names of layouts, which are no label of an axis
    axes.set(xlabel=" ", ylabel="part of a simulated step, %" if is_share else "step, ms")


def _below(axes: "Axes", place: float, layout: str, color: str) -> None:
    """Name of a layout under the numbers of ranks."""
    axes.annotate(
        f"ranks, {layout}",
        (place, 0),
        xycoords=("data", "axes fraction"),
        xytext=(0, -17),
        textcoords="offset points",
        ha="center",
        va="top",
        color=color,
    )


def _stack(axes: "Axes", place: float, row: StepSplit, unit: float) -> None:
    style: dict[str, Any] = {"alpha": 0.45, "hatch": "////"} if row.source == "model" else {}
    bottom = 0.0
    for part, color in OF_PARTS.items():
        height = unit * getattr(row, part)
        axes.bar(place, height, 0.92, bottom, color=color, edgecolor="white", linewidth=0, **style)
        bottom += height


def _legends(grid: Sequence["Axes"], rows: Sequence[StepSplit]) -> None:
    """Colors of layouts and of parts, and what is drawn how."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    gray: dict[str, Any] = {"color": "#444444"}
    sources = {row.source for row in rows}
    handles = [Line2D([], [], color=color, label=name) for name, color in OF_LAYOUTS.items()]
    if "simulated" in sources:
        handles.append(Line2D([], [], **gray, lw=1.3, label="simulated"))
    if "measured" in sources:
        handles.append(Line2D([], [], **gray, marker="o", ls=":", ms=6, label="measured"))
        handles.append(Line2D([], [], color=LIMIT, lw=5, label="most that the cores allow"))
    if "model" in sources:
        handles.append(Line2D([], [], **gray, marker="D", ls="", ms=7, mfc="none", label="planned"))
    style: dict[str, Any] = {"frameon": False, "fontsize": 8, "borderaxespad": 0}
    grid[0].legend(handles=handles, ncols=1, loc="upper left", bbox_to_anchor=(1.0, 1.0), **style)
    patches = [Patch(color=color, label=PARTS[part]) for part, color in OF_PARTS.items()]
    planned = Patch(facecolor="#999999", alpha=0.45, hatch="////", ec="white", label="planned")
    patches += [planned] * ("model" in sources)
    for axes in grid[1:2]:
        axes.legend(handles=patches, ncols=1, loc="upper left", bbox_to_anchor=(1.0, 1.0), **style)

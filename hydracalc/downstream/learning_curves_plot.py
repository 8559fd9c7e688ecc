"""Learning curves as small pictures side by side, one for each task."""

from collections.abc import Sequence
from math import ceil

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from hydracalc.downstream.learning_curves import SCRATCH, TaskCurves
from hydracalc.validation.pictures import ACCENT, FAINT, INK, SECOND, as_png, new_figure, tidy

# color, line and mark of each method; the one to beat is warm, the others cold
STYLES = {
    "full": (ACCENT, "-", "o"),
    "lora": ("#2c9c8f", "-", "s"),
    "heads": ("#7a5fb5", "-", "^"),
    SCRATCH: (SECOND, "--", "D"),
}
_NAMES = {"full": "fine-tuned, all weights", "lora": "low rank", "heads": "heads alone"}
_NAMES[SCRATCH] = "from scratch"
_COLUMNS = 4
_WIDTH, _HEIGHT = 3.1, 2.55  # of a panel, inches


def picture(curves: Sequence[TaskCurves]) -> bytes:
    """Errors over training structures, both on logarithmic axes, as PNG.

    Args:
        curves: at least one task.
    """
    columns = min(_COLUMNS, len(curves))
    rows = ceil(len(curves) / columns)
    figure = new_figure(_WIDTH * columns, _HEIGHT * rows + 0.45)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, task in zip(grid, curves, strict=False):
        _panel(axes, task)
    for axes in grid[len(curves) :]:
        axes.set_visible(False)
    for axes in grid[max(0, len(curves) - columns) : len(curves)]:
        axes.set_xlabel("labelled structures", fontsize=8.5, color=INK)
    handles: dict[str, Artist] = {}
    for axes in grid[: len(curves)]:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = [name for name in [*_NAMES.values(), _BEFORE] if name in handles]
    figure.legend(
        [handles[name] for name in names],
        names,
        loc="outside upper center",
        ncols=len(names) if columns > 2 else 2,
        frameon=False,
        fontsize=9,
    )
    return as_png(figure)


_BEFORE = "before fine-tuning"


def _panel(axes: Axes, task: TaskCurves) -> None:
    tidy(axes, grid="both")
    axes.set_title(_wrapped(task.title), fontsize=9, color=INK, loc="left")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for method, (color, line, mark) in STYLES.items():
        points = task.by_method.get(method)
        if not points:
            continue
        sizes = [point.size for point in points]
        low, high = ([1e3 * getattr(p, side) for p in points] for side in ("low", "high"))
        axes.fill_between(sizes, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(
            sizes,
            [1e3 * point.mean for point in points],
            line,
            color=color,
            marker=mark,
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            linewidth=1.7,
            label=_NAMES[method],
        )
    if task.untrained is not None:
        axes.axhline(
            1e3 * task.untrained, color=FAINT, linestyle=":", linewidth=1.3, label=_BEFORE, zorder=1
        )
    axes.set_ylabel(f"{'force' if 'Å' in task.unit else 'energy'} MAE, {task.unit}", fontsize=8)
    _ticks(axes, task)


def _ticks(axes: Axes, task: TaskCurves) -> None:
    """The sizes themselves below, plain numbers beside."""
    sizes = sorted({point.size for points in task.by_method.values() for point in points})
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.set_xlim(sizes[0] / 1.25, sizes[-1] * 1.25)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{error:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _wrapped(title: str) -> str:
    """What is before the colon, and the rest below it."""
    first, _, rest = title.partition(": ")
    return f"{first}\n{rest}" if rest else first

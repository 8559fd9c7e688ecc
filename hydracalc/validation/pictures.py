"""How pictures of this folder look, and pictures as bytes."""

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, FAINT, ACCENT, SECOND = "#1f2933", "#8a94a0", "#2b6cb0", "#c05621"
PNG_DPI = 150
COUNTS = "Blues"  # colors of how many
ERRORS = "YlOrRd"  # colors of how wrong


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes, *, title: str = "", grid: str = "") -> None:
    """Thin axes without a box.

    Args:
        axes: to change.
        title: of the panel.
        grid: "x", "y" or "both" draws faint lines.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, fontsize=10, color=INK, loc="left")
    if grid == "both":
        axes.grid(color="#e6e9ed", linewidth=0.8)
    elif grid in ("x", "y"):
        axes.grid(axis="x" if grid == "x" else "y", color="#e6e9ed", linewidth=0.8)


def as_png(figure: Figure) -> bytes:
    """The picture's file, sharp on dense screens."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI)
    return buffer.getvalue()


def short(value: float) -> str:
    """A number in three digits, without an exponent where it is large."""
    return f"{value:.0f}" if 999.5 <= abs(value) < 1e6 else f"{value:.3g}"


def pretty(unit: str) -> str:
    """A unit as pictures and pages write it."""
    return unit.replace("Angstrom", "Å").replace("^3", "³")

"""What an exam found as a picture: energies of dimers, total energy of dynamics."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hydracalc.exam.findings import Curve, ExamResult

_INCHES = (6.4, 4.4)  # of one panel
_PANELS = {
    "dimer": ("distance, Angstrom", "energy beyond that far apart, eV"),
    "nve": ("time, ps", "total energy beyond the first, meV/atom"),
}
_DEPTHS = 3.0  # what is shown above zero, in depths of the deepest pair
_SHALLOW = 1.0  # eV, taken where no pair binds


def draw(result: ExamResult, path: Path) -> None:
    """Write a panel for each kind of curve; the format is that of the file's ending.

    Args:
        result: with at least one curve.
        path: .png, .pdf or .svg.
    """
    kinds = [kind for kind in _PANELS if any(curve.kind == kind for curve in result.curves)]
    size = (len(kinds) * _INCHES[0], _INCHES[1])
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    for kind, axes in zip(kinds, figure.subplots(1, len(kinds), squeeze=False)[0], strict=True):
        curves = [curve for curve in result.curves if curve.kind == kind]
        for curve in curves:
            axes.plot(curve.x, curve.y, label=curve.label, linewidth=1.4)
        axes.set(xlabel=_PANELS[kind][0], ylabel=_PANELS[kind][1])
        axes.axhline(0, color="#999999", linewidth=0.8, zorder=0)
        if kind == "dimer":
            _show_wells(axes, curves)
        axes.legend(fontsize="small", ncols=2 if len(curves) > 5 else 1)
    figure.suptitle(result.subject)
    figure.savefig(path, dpi=130)


def _show_wells(axes: Axes, curves: Sequence[Curve]) -> None:
    """Limit the view to where pairs bind: their walls are hundreds of times as high."""
    deepest = max(_SHALLOW, *(-min(curve.y) for curve in curves))
    axes.set_ylim(-1.1 * deepest, _DEPTHS * deepest)

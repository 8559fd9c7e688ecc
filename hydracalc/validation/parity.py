"""Labels against predictions as a picture."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hydracalc.validation.evaluation import Evaluation

_AXES = {
    "energy": "energy beyond references, eV/atom",
    "forces": "forces, eV/Angstrom",
    "stress": "stress, eV/Angstrom$^3$",
}
_MARKERS_BELOW = 2000  # points; a cloud of more is drawn in dots


def draw(report: Evaluation, path: Path) -> None:
    """Write one panel for each labelled property; the format is that of the file's ending.

    Args:
        report: made with `keep_pairs`.
        path: .png, .pdf, .svg.

    Raises:
        ValueError: there is nothing to draw, or the ending is no picture's.
    """
    drawn = [name for name in _AXES if any(name in b.pairs for b in report.branches.values())]
    if not drawn:
        raise ValueError("no labels to draw")
    figure = Figure(figsize=(4.2 * len(drawn), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        _panel(axes, name, report)
    figure.savefig(path, dpi=150)


def _panel(axes: Axes, name: str, report: Evaluation) -> None:
    lowest, highest = np.inf, -np.inf
    for branch, errors in report.branches.items():
        if name not in errors.pairs:
            continue
        labels, predictions = np.concatenate(errors.pairs[name], axis=1)
        marker = "o" if labels.size < _MARKERS_BELOW else ","
        axes.plot(labels, predictions, marker, markersize=3, alpha=0.6, label=branch)
        lowest = min(lowest, labels.min(), predictions.min())
        highest = max(highest, labels.max(), predictions.max())
    axes.plot([lowest, highest], [lowest, highest], color="black", linewidth=0.8)
    axes.set(xlabel=f"label: {_AXES[name]}", ylabel="prediction")
    axes.legend(fontsize="small")

"""Picture of promised and found shares of labels inside the intervals."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from hydracalc.ensemble.coverage import Coverage

_NAMES = {"energy": "energy per atom", "component": "force component", "force": "|force error|"}


def draw(found: Mapping[str, Coverage], path: Path) -> None:
    """Draw one panel for each branch; on the diagonal intervals hold what they promise.

    Args:
        found: coverage on held-out structures, by branch.
        path: picture to write; its ending says the format.
    """
    figure = Figure(figsize=(3.6 * len(found), 3.6), layout="constrained")
    for axes, (branch, coverage) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
    ):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
        for name, shares in coverage.shares.items():
            axes.plot(list(shares), list(shares.values()), marker="o", label=_NAMES[name])
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=branch)
        axes.set(xlabel="promised share", ylabel="found share")
        axes.legend(loc="upper left", fontsize="small")
    figure.savefig(path, dpi=150)

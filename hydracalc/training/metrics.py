"""Errors of a model by branch: sums over labels, divided once at the end."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import Prediction
from hydracalc.training.deviations import Deviation, deviations

# property to the name and unit its errors are reported with
REPORTED = {
    "energy": ("energy", "eV_per_atom"),
    "forces": ("force", "eV_per_A"),
    "stress": ("stress", "eV_per_A3"),
    "direct_forces": ("direct_force", "eV_per_A"),
}


class ErrorSums:
    """Sums of |error|, error^2 and labels of each property in each branch.

    Args:
        branch_names: the branches, B of them.
    """

    def __init__(self, branch_names: Sequence[str]) -> None:
        self.branch_names = tuple(branch_names)
        self.sums: dict[str, Tensor] = {}  # property to |error|, error^2, count; float64, (3, B)

    def add(self, prediction: Prediction, graph: AtomicGraph) -> None:
        """Count a batch in."""
        self.add_deviations(deviations(prediction, graph))

    def add_direct_forces(self, prediction: Prediction, graph: AtomicGraph) -> None:
        """Count in a batch evaluated with `forces="direct"`, its forces alone."""
        self.add_deviations({"direct_forces": deviations(prediction, graph)["forces"]})

    @torch.no_grad()
    def add_deviations(self, found: Mapping[str, Deviation]) -> None:
        """Count deviations in."""
        count = len(self.branch_names)
        for name, deviation in found.items():
            errors = deviation.values.detach()
            sums = torch.stack(
                [
                    deviation.sum_by_branch(errors.abs(), count),
                    deviation.sum_by_branch(errors.square(), count),
                    deviation.count_by_branch(count),
                ]
            )
            self.sums[name] = self.sums[name] + sums if name in self.sums else sums

    def to_json(self) -> dict[str, dict[str, float]]:
        """Branch to its errors, the unit in the key; what has no label is absent."""
        report: dict[str, dict[str, float]] = {name: {} for name in self.branch_names}
        for name, sums in self.sums.items():
            quantity, unit = REPORTED[name]
            for branch, (absolute, squared, count) in zip(
                self.branch_names, sums.T.tolist(), strict=True
            ):
                if count:
                    report[branch][f"{quantity}_mae_{unit}"] = absolute / count
                    report[branch][f"{quantity}_rmse_{unit}"] = (squared / count) ** 0.5
        return {branch: errors for branch, errors in report.items() if errors}

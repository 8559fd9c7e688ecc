"""Errors of a model by branch: sums over labels, divided once at the end."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import Prediction
from hydracalc.training.loss import label_errors

MAE_KEYS = {
    "energy": "energy_mae_eV_per_atom",
    "forces": "force_mae_eV_per_A",
    "direct_forces": "direct_force_mae_eV_per_A",
    "stress": "stress_mae_eV_per_A3",
}


class BranchMetrics:
    """Sums of |error|, error^2 and labels of each property in each branch.

    Args:
        branch_names: the branches, B of them.
    """

    def __init__(self, branch_names: Sequence[str]) -> None:
        self.branch_names = tuple(branch_names)
        self._sums: dict[str, Tensor] = {}  # |error|, error^2, labels; float64, (3, B)

    @torch.no_grad()
    def add(self, prediction: Prediction, graph: AtomicGraph) -> None:
        """Count a batch in, each component of forces and stress as one label."""
        for name, ((predicted, label), branch) in label_errors(prediction, graph).items():
            known = torch.isfinite(label)
            errors = torch.where(known, predicted - label, 0.0)
            rows = torch.stack(
                [errors.abs().sum(1), errors.square().sum(1), known.sum(1).to(errors.dtype)]
            )  # (3, n)
            sums = rows.new_zeros(3, len(self.branch_names)).index_add(1, branch, rows)
            self._sums[name] = self._sums[name] + sums if name in self._sums else sums

    def result(self) -> dict[str, dict[str, float]]:
        """Branch to its errors, keys carry the unit; a property without labels is absent."""
        result: dict[str, dict[str, float]] = {name: {} for name in self.branch_names}
        for name, sums in self._sums.items():
            key = MAE_KEYS[name]
            columns = zip(self.branch_names, sums.T.tolist(), strict=True)
            for branch, (absolute, squared, count) in columns:
                if count:
                    result[branch][key] = absolute / count
                    result[branch][key.replace("_mae_", "_rmse_")] = (squared / count) ** 0.5
        return result

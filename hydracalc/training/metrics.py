"""Errors of a model by branch: sums over labels, divided once at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hydracalc.graphs.batches import budget_batches
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import HydraModel, Prediction
from hydracalc.training.loss import label_errors
from hydracalc.training.sampler import TrainingSet, prefetch

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

    def absorb(self, other: "BranchMetrics") -> None:
        """Count in what another has counted, branches by their names."""
        places = [self.branch_names.index(name) for name in other.branch_names]
        for name, sums in other._sums.items():
            whole = sums.new_zeros(3, len(self.branch_names))
            whole[:, places] = sums
            self._sums[name] = self._sums[name] + whole if name in self._sums else whole

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


def evaluate(
    model: HydraModel, data: TrainingSet, *, max_atoms: int = 1024
) -> dict[str, dict[str, float]]:
    """Errors of each structure's own branch, by branch.

    Args:
        model: in evaluation mode.
        data: labelled structures.
        max_atoms: atoms in one batch.
    """
    return tally(model, data, max_atoms=max_atoms).result()


def tally(model: HydraModel, data: TrainingSet, *, max_atoms: int = 1024) -> BranchMetrics:
    """Sums of errors of each structure's own branch."""
    metrics = BranchMetrics(model.branch_names)
    stress = any(s.stress is not None for s in data.structures)
    for graph in _all_graphs(data, max_atoms):
        prediction = model(graph, stress=stress)
        if model.config.direct_forces:
            direct = model(graph, forces="direct").forces
            prediction = replace(prediction, direct_forces=direct)
        metrics.add(prediction, graph)
    return metrics


def _all_graphs(data: TrainingSet, max_atoms: int) -> Iterator[AtomicGraph]:
    for graph in prefetch(data, budget_batches(data.num_atoms, max_atoms=max_atoms)):
        if graph is not None:
            yield graph

"""Errors of a model by branch: sums over labels, divided once at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from hydracalc.graphs.batches import budget_batches
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import HydraModel, Prediction
from hydracalc.training.error_sums import ErrorSums
from hydracalc.training.loss import label_errors
from hydracalc.training.sampler import prefetch
from hydracalc.training.structure_set import StructureSet

MAE_KEYS = {
    "energy": "energy_mae_eV_per_atom",
    "forces": "force_mae_eV_per_A",
    "direct_forces": "direct_force_mae_eV_per_A",
    "stress": "stress_mae_eV_per_A3",
}


class BranchMetrics:
    """Sums of errors of each property in each branch.

    Args:
        branch_names: the branches, B of them.
    """

    def __init__(self, branch_names: Sequence[str]) -> None:
        self.branch_names = tuple(branch_names)
        self._errors: dict[str, ErrorSums] = {}

    @torch.no_grad()
    def add(self, prediction: Prediction, graph: AtomicGraph) -> None:
        """Count a batch in, each component of forces and stress as one label."""
        for name, ((predicted, label), branch) in label_errors(prediction, graph).items():
            self._of(name).add(predicted, label, branch)

    def absorb(self, other: "BranchMetrics") -> None:
        """Count in what another has counted, branches by their names."""
        places = [self.branch_names.index(name) for name in other.branch_names]
        for name, errors in other._errors.items():
            self._of(name).absorb(errors, places)

    def _of(self, name: str) -> ErrorSums:
        return self._errors.setdefault(name, ErrorSums(len(self.branch_names)))

    def result(self) -> dict[str, dict[str, float]]:
        """Branch to its errors, keys carry the unit; a property without labels is absent."""
        result: dict[str, dict[str, float]] = {name: {} for name in self.branch_names}
        for name, errors in self._errors.items():
            key = MAE_KEYS[name]
            columns = (errors.count.tolist(), errors.mae.tolist(), errors.rmse.tolist())
            for branch, count, mae, rmse in zip(self.branch_names, *columns, strict=True):
                if count:
                    result[branch][key] = mae
                    result[branch][key.replace("_mae_", "_rmse_")] = rmse
        return result


def evaluate(
    model: HydraModel, data: StructureSet, *, max_atoms: int = 1024
) -> dict[str, dict[str, float]]:
    """Errors of each structure's own branch, by branch.

    Args:
        model: in evaluation mode.
        data: labelled structures.
        max_atoms: atoms in one batch.
    """
    return tally(model, data, max_atoms=max_atoms).result()


def tally(model: HydraModel, data: StructureSet, *, max_atoms: int = 1024) -> BranchMetrics:
    """Sums of errors of each structure's own branch."""
    metrics = BranchMetrics(model.branch_names)
    for graph in _all_graphs(data, max_atoms, model.branches.references.values.device):
        prediction = model(graph, stress=data.has_stress)
        if model.config.direct_forces:
            direct = model(graph, forces="direct").forces
            prediction = replace(prediction, direct_forces=direct)
        metrics.add(prediction, graph)
    return metrics


def _all_graphs(data: StructureSet, max_atoms: int, device: torch.device) -> Iterator[AtomicGraph]:
    for graph in prefetch(data, budget_batches(data.num_atoms, max_atoms=max_atoms)):
        if graph is not None:
            yield graph.to(device)

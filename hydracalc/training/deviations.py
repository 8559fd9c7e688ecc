"""How far a prediction is from the labels: what both the loss and the reported errors read."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import Prediction


@dataclass(frozen=True, kw_only=True, eq=False)
class Deviation:
    """Prediction less label of one property; zero, without gradient, where there is no label.

    Attributes:
        values: in the property's unit, float64, (n, k); n runs over structures or atoms.
        labelled: where there is a label, bool, (n, k).
        branch: branch of each row, int64, (n,).
    """

    values: Tensor
    labelled: Tensor
    branch: Tensor

    def sum_by_branch(self, numbers: Tensor, num_branches: int) -> Tensor:
        """Sum of numbers, (n, k), over the rows of each branch, float64, (B,)."""
        total = self.values.new_zeros(num_branches)
        return total.index_add(0, self.branch, numbers.to(total.dtype).sum(dim=1))

    def count_by_branch(self, num_branches: int) -> Tensor:
        """Number of labels of each branch, float64, (B,)."""
        return self.sum_by_branch(self.labelled, num_branches)


def deviations(prediction: Prediction, graph: AtomicGraph) -> dict[str, Deviation]:
    """Deviations of all properties that were predicted.

    Returns:
        "energy", eV/atom: total energies, both float64, subtracted and divided by N, which is the
        deviation of normalized energies because the references are the same; "forces",
        eV/Angstrom, by component; "stress", eV/Angstrom^3, by component.
    """
    assert graph.energy is not None
    branch_of_atom = graph.branch_index.index_select(0, graph.structure_index)
    per_atom = (prediction.energy - graph.energy) / graph.atoms_per_structure
    found = {"energy": _deviation(per_atom[:, None], graph.energy[:, None], graph.branch_index)}
    if prediction.forces is not None and graph.forces is not None:
        difference = prediction.forces.to(torch.float64) - graph.forces
        found["forces"] = _deviation(difference, graph.forces, branch_of_atom)
    if prediction.stress is not None and graph.stress is not None:
        difference = (prediction.stress.to(torch.float64) - graph.stress).flatten(1)
        found["stress"] = _deviation(difference, graph.stress.flatten(1), graph.branch_index)
    return found


def _deviation(difference: Tensor, label: Tensor, branch: Tensor) -> Deviation:
    labelled = torch.isfinite(label)
    # NaN of a missing label, or of a stress without a volume, must not reach the gradient
    return Deviation(
        values=torch.where(labelled, difference, 0.0), labelled=labelled, branch=branch
    )


def has_labels(labels: Tensor | None) -> bool:
    """Whether any structure of a batch has a label."""
    return labels is not None and bool(torch.isfinite(labels).any())

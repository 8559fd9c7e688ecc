"""What training makes small: errors of energy per atom, forces and stress, branch by branch.

Every residual travels as (sum, count) and is divided once, so the objective does not depend on how
structures are put into batches, or on ranks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from hydracalc.errors import unknown
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import Prediction

PROPERTIES = ("energy", "forces", "direct_forces", "stress")
KINDS = ("huber", "l1", "mse")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Which errors matter how much.

    Attributes:
        kind: "l1" is |error|; "huber" the same beyond `delta`, less delta/2, and error^2 / (2
            delta) within, so that a few bad labels do not dominate; "mse" is error^2.
        energy_weight: of the error per atom; 1/(eV/atom), squared with "mse".
        forces_weight: of the mean over an atom's components, and of that of the direct force heads
            where the model has them; 1/(eV/Angstrom), squared with "mse".
        stress_weight: of the mean over components; 1/(eV/Angstrom^3), squared with "mse".
        energy_delta: eV/atom.
        forces_delta: eV/Angstrom.
        stress_delta: eV/Angstrom^3.
    """

    kind: Literal["huber", "l1", "mse"] = "huber"
    energy_weight: float = 1.0
    forces_weight: float = 1.0
    stress_weight: float = 1.0
    energy_delta: float = 0.02
    forces_delta: float = 0.05
    stress_delta: float = 0.01

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(unknown("loss", self.kind, KINDS))
        for name in PROPERTIES:
            if self.weight(name) < 0:
                raise ValueError(f"{name}: weight {self.weight(name)} must not be negative")
            if self.delta(name) <= 0:
                raise ValueError(f"{name}: delta {self.delta(name)} must be positive")

    def weight(self, name: str) -> float:
        """Weight of a property."""
        return {
            "energy": self.energy_weight,
            "forces": self.forces_weight,
            "direct_forces": self.forces_weight,
            "stress": self.stress_weight,
        }[name]

    def delta(self, name: str) -> float:
        """Error of a property at which "huber" turns from squared to absolute."""
        return {
            "energy": self.energy_delta,
            "forces": self.forces_delta,
            "direct_forces": self.forces_delta,
            "stress": self.stress_delta,
        }[name]


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """Losses of some structures, by property and branch.

    Attributes:
        sums: property to the sum of its losses in each branch, float64, (B,).
        counts: property to the number of its labels in each branch, float64, (B,): structures for
            energy and stress, atoms for forces.
    """

    sums: Mapping[str, Tensor]
    counts: Mapping[str, Tensor]


def residuals(
    prediction: Prediction, graph: AtomicGraph, *, num_branches: int, config: LossConfig
) -> Residuals:
    """Losses of a batch; what has no label counts nowhere.

    Args:
        prediction: of the batch, each structure by its own branch.
        graph: the batch, with labels.
        num_branches: B.
        config: shape of the loss.
    """
    sums, counts = {}, {}
    for name, (errors, branch) in label_errors(prediction, graph).items():
        known = torch.isfinite(errors[1]).all(dim=1)
        difference = torch.where(known[:, None], errors[0] - errors[1], 0.0)
        cost = _cost(difference, config.kind, config.delta(name)).mean(dim=1)
        sums[name] = cost.new_zeros(num_branches).index_add(0, branch, cost)
        counts[name] = cost.new_zeros(num_branches).index_add(0, branch, known.to(cost.dtype))
    return Residuals(sums=sums, counts=counts)


def label_errors(
    prediction: Prediction, graph: AtomicGraph
) -> dict[str, tuple[tuple[Tensor, Tensor], Tensor]]:
    """Predictions and labels of each property that was predicted, and the branch of each row.

    Energies are per atom, eV: both totals are float64, and their difference is that of normalized
    energies because the references are the same.

    Returns:
        property to ((prediction, label), branch): float64, (n, k), and int64, (n,), where n runs
        over structures or, for forces, atoms.
    """
    assert graph.energy is not None
    assert graph.forces is not None
    assert graph.stress is not None
    count = graph.atoms_per_structure.to(torch.float64)
    pairs = {"energy": (prediction.energy / count, graph.energy / count, graph.branch_index)}
    of_atom = graph.branch_index.index_select(0, graph.structure_index)
    if prediction.forces is not None:
        pairs["forces"] = (prediction.forces, graph.forces, of_atom)
    if prediction.direct_forces is not None:
        pairs["direct_forces"] = (prediction.direct_forces, graph.forces, of_atom)
    if prediction.stress is not None:
        pairs["stress"] = (prediction.stress, graph.stress, graph.branch_index)
    return {
        name: ((_rows(predicted), _rows(label)), branch)
        for name, (predicted, label, branch) in pairs.items()
    }


def add(parts: Sequence[Residuals]) -> Residuals:
    """Losses of all parts together."""
    names = list(dict.fromkeys(name for part in parts for name in part.sums))
    return Residuals(
        sums={n: torch.stack([p.sums[n] for p in parts if n in p.sums]).sum(0) for n in names},
        counts={
            n: torch.stack([p.counts[n] for p in parts if n in p.counts]).sum(0) for n in names
        },
    )


def weighted_labels(residual: Residuals, branch_weights: Tensor) -> dict[str, Tensor]:
    """Weighted number of labels of each property, (): a label of branch b counts w_b.

    Args:
        residual: losses by property and branch.
        branch_weights: w, (B,).
    """
    return {
        name: (branch_weights.to(counts.device) * counts).sum()
        for name, counts in residual.counts.items()
    }


def objective(
    residual: Residuals,
    branch_weights: Tensor,
    config: LossConfig,
    labels: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Sum over properties of weight x (weighted sum of losses) / (weighted number of labels).

    Within a property, a label of branch b counts w_b, so the mean over all labels is weighted.

    Args:
        residual: losses by property and branch.
        branch_weights: w, (B,).
        config: weights of the properties.
        labels: `weighted_labels` to divide by, of all ranks where these losses are one rank's part;
            None takes those of the losses.
    """
    labels = weighted_labels(residual, branch_weights) if labels is None else labels
    total = branch_weights.new_zeros(())
    for name, sums in residual.sums.items():
        count = labels[name].to(sums.device)
        weighted = (branch_weights.to(sums.device) * sums).sum()
        mean = weighted / torch.where(count > 0, count, 1.0)
        total = total.to(mean.device) + config.weight(name) * mean
    return total


def _rows(values: Tensor) -> Tensor:
    """Values as (n, k) in float64."""
    return values.reshape(len(values), -1).to(torch.float64)


def _cost(errors: Tensor, kind: str, delta: float) -> Tensor:
    """Loss of each error, same shape."""
    if kind == "l1":
        return errors.abs()
    if kind == "mse":
        return errors.square()
    zero = torch.zeros_like(errors)
    return huber_loss(errors, zero, reduction="none", delta=delta) / delta

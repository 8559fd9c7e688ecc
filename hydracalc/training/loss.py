"""What training minimizes: robust errors of energy per atom, forces and stress in every branch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import Prediction
from hydracalc.training.deviations import Deviation, deviations, has_labels

Kind = Literal["huber", "l1", "mse"]


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Which errors matter how much.

    Attributes:
        kind: "l1" is |error|; "huber" the same beyond `delta` (less delta/2) and error^2 / (2
            delta) within, so a few bad labels do not dominate; "mse" is error^2.
        energy_weight: of the error per atom; 1/(eV/atom), squared with "mse".
        forces_weight: of a force component; 1/(eV/Angstrom), squared with "mse".
        stress_weight: of a stress component; 1/(eV/Angstrom^3), squared with "mse".
        direct_forces_weight: of a component of the direct force heads, where the model has them.
        energy_delta: eV/atom.
        forces_delta: eV/Angstrom; of direct forces, too.
        stress_delta: eV/Angstrom^3.
    """

    kind: Kind = "huber"
    energy_weight: float = 4.0
    forces_weight: float = 1.0
    stress_weight: float = 10.0
    direct_forces_weight: float = 1.0
    energy_delta: float = 0.01
    forces_delta: float = 0.05
    stress_delta: float = 0.001

    def __post_init__(self) -> None:
        for name in ("energy", "forces", "stress", "direct_forces"):
            if self.weight(name) < 0:
                raise ValueError(f"{name}_weight is {self.weight(name)}, expected at least 0")
            if self.delta(name) <= 0:
                raise ValueError(f"{name}_delta is {self.delta(name)}, expected a positive number")
        if self.energy_weight == 0 and self.forces_weight == 0:
            raise ValueError("energy_weight and forces_weight are both 0: nothing to learn")

    def weight(self, name: str) -> float:
        """Weight of a property."""
        return {
            "energy": self.energy_weight,
            "forces": self.forces_weight,
            "stress": self.stress_weight,
            "direct_forces": self.direct_forces_weight,
        }[name]

    def delta(self, name: str) -> float:
        """Where the error of a property turns from squared to absolute."""
        return {
            "energy": self.energy_delta,
            "forces": self.forces_delta,
            "stress": self.stress_delta,
            "direct_forces": self.forces_delta,
        }[name]


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """Losses as (sum, count) by property and branch, so that parts of a batch can be added up.

    Attributes:
        sums: property to the sum of its losses in each branch, float64, (B,).
        counts: property to the number of its labels in each branch, float64, (B,).
    """

    sums: Mapping[str, Tensor]
    counts: Mapping[str, Tensor]

    def __add__(self, other: "Residuals") -> "Residuals":
        return Residuals(
            sums=_added(self.sums, other.sums), counts=_added(self.counts, other.counts)
        )

    def detach(self) -> "Residuals":
        """The same numbers without their history."""
        return replace(self, sums={name: total.detach() for name, total in self.sums.items()})


def _added(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> dict[str, Tensor]:
    total = dict(left)
    for name, value in right.items():
        total[name] = total[name] + value if name in total else value
    return total


class Loss:
    """Turns predictions into residuals, and residuals into the number to minimize.

    Args:
        config: which errors matter how much.
        branch_weights: what an average label of each branch counts, (B,); their sum is scaled to 1.

    Raises:
        ValueError: a branch weight is not positive.
    """

    def __init__(self, config: LossConfig, branch_weights: Sequence[float]) -> None:
        if not branch_weights or min(branch_weights) <= 0:
            raise ValueError(f"branch weights are {list(branch_weights)}, expected positive ones")
        self.config = config
        weights = torch.tensor(branch_weights, dtype=torch.float64)
        self.branch_weights = weights / weights.sum()

    def needs(self, graph: AtomicGraph) -> dict[str, Any]:
        """Arguments of the model for a batch: no derivative is taken that no label asks for."""
        forces = self.config.forces_weight > 0 and has_labels(graph.forces)
        return {
            "forces": "conservative" if forces else None,
            "stress": self.config.stress_weight > 0 and has_labels(graph.stress),
        }

    def __call__(self, prediction: Prediction, graph: AtomicGraph) -> Residuals:
        """Losses of a batch by property and branch."""
        return self.residuals(deviations(prediction, graph))

    def of_direct_forces(self, prediction: Prediction, graph: AtomicGraph) -> Residuals:
        """Losses of a batch evaluated with `forces="direct"`: those of the force heads alone."""
        return self.residuals({"direct_forces": deviations(prediction, graph)["forces"]})

    def residuals(self, found: Mapping[str, Deviation]) -> Residuals:
        """Losses of deviations by property and branch."""
        count = len(self.branch_weights)
        sums = {
            name: deviation.sum_by_branch(self._robust(name, deviation.values), count)
            for name, deviation in found.items()
        }
        counts = {name: deviation.count_by_branch(count) for name, deviation in found.items()}
        return Residuals(sums=sums, counts=counts)

    def objective(self, residuals: Residuals, counts: Mapping[str, Tensor]) -> Tensor:
        """Sum over branches and properties of weight x (sum of losses) / (number of labels).

        Args:
            residuals: of a batch, or of a part of one.
            counts: labels of the whole batch; objectives of its parts then add up to that of the
                whole.
        """
        total = self.branch_weights.new_zeros(())
        for name, sums in residuals.sums.items():
            mean = sums / counts[name].clamp(min=1)  # (B,), 0 in a branch without labels
            weights = self.branch_weights.to(mean.device)
            total = total.to(mean.device) + self.config.weight(name) * (weights * mean).sum()
        return total

    def _robust(self, name: str, errors: Tensor) -> Tensor:
        if self.config.kind == "l1":
            return errors.abs()
        if self.config.kind == "mse":
            return errors.square()
        delta = self.config.delta(name)
        return torch.nn.functional.huber_loss(
            errors, torch.zeros_like(errors), reduction="none", delta=delta
        ).div(delta)

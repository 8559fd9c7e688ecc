"""What ranks tell each other in a step, so that it is the step of one process with all the data.

Objectives are sums divided once by numbers of labels that are summed over the world, so they do not
depend on which rank has which structure; gradients of the encoder are summed over the world, those
of branches over their group.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hydracalc.models.hydra import HydraModel
from hydracalc.parallel.mesh import BranchMesh
from hydracalc.training.loss import (
    PROPERTIES,
    LossConfig,
    Residuals,
    objective,
    weighted_labels,
)


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What every rank knows after a step.

    Attributes:
        objective: before the update, of the whole batch.
        gradient_norm: of all parameters, before it is clipped.
        seconds: that the root has spent training.
        is_ending: whether any rank was asked to end.
    """

    objective: float
    gradient_norm: float
    seconds: float
    is_ending: bool


class Exchange:
    """The sums that the ranks of a mesh take in a step.

    Args:
        mesh: this rank among the others.
        model: its part of the model.
        branch_weights: weight of the labels of each branch of that part, (b,).
    """

    def __init__(self, mesh: BranchMesh, model: HydraModel, branch_weights: Tensor) -> None:
        self.mesh = mesh
        self.branch_weights = branch_weights
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        self.parameters = [parameter for _, parameter in named]
        self._of_branches = [name.startswith("branches.") for name, _ in named]

    def objective(self, residual: Residuals | None, config: LossConfig) -> Tensor:
        """This rank's part of the objective; the parts of all ranks add up to it.

        Collective over the world.

        Args:
            residual: losses of this rank's structures; None where it has none.
            config: weights of the properties.
        """
        labels = self.branch_weights.new_zeros(len(PROPERTIES))
        own = {} if residual is None else weighted_labels(residual, self.branch_weights)
        for name, count in own.items():
            labels[PROPERTIES.index(name)] = count
        self.mesh.sum_over_world([labels])
        if residual is None:
            return self.branch_weights.new_zeros(())
        everywhere = dict(zip(PROPERTIES, labels, strict=True))
        return objective(residual, self.branch_weights, config, everywhere)

    @torch.no_grad()
    def gradients(
        self, objective: Tensor, *, clip: float, seconds: float, is_ending: bool
    ) -> StepReport:
        """Sum and clip the gradients of all parameters. Collective over the world.

        A parameter that no rank's structures touched keeps no gradient, as in one process.

        Args:
            objective: this rank's part of it.
            clip: largest norm of the gradient.
            seconds: that this rank has spent; the root's counts.
            is_ending: whether this rank was asked to end.
        """
        self._sum_gradients()
        of_encoder, of_branches = self._gradients()
        told = torch.tensor(
            [
                float(objective.detach()),
                _square(of_branches) / len(self.mesh.group.ranks),
                seconds if self.mesh.is_root else 0.0,
                float(is_ending),
            ],
            dtype=torch.float64,
        )
        self.mesh.sum_over_world([told])
        norm = (_square(of_encoder) + float(told[1])) ** 0.5
        if norm > clip:
            torch._foreach_mul_([*of_encoder, *of_branches], clip / norm)
        return StepReport(
            objective=float(told[0]),
            gradient_norm=norm,
            seconds=float(told[2]),
            is_ending=bool(told[3] > 0),
        )

    def _sum_gradients(self) -> None:
        """Gradients of the encoder over the world, of branches over the group."""
        if self.mesh.size == 1:
            return
        touched = torch.tensor([float(p.grad is not None) for p in self.parameters])
        self.mesh.sum_over_world([touched])
        for parameter, count in zip(self.parameters, touched.tolist(), strict=True):
            if count and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        of_encoder, of_branches = self._gradients()
        self.mesh.sum_over_world(of_encoder)
        self.mesh.sum_over_group(of_branches)

    def _gradients(self) -> tuple[list[Tensor], list[Tensor]]:
        """Gradients of the encoder and of the branches, where there are any."""
        gradients: tuple[list[Tensor], list[Tensor]] = ([], [])
        for parameter, of_branch in zip(self.parameters, self._of_branches, strict=True):
            if parameter.grad is not None:
                gradients[of_branch].append(parameter.grad)
        return gradients


def _square(tensors: list[Tensor]) -> float:
    """Sum of the squares of all entries."""
    if not tensors:
        return 0.0
    return float(torch.stack(torch._foreach_norm(tensors)).double().square().sum())

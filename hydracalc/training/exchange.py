"""What ranks tell each other in a step, so that it is the step of one process with all the data.

Objectives are sums divided once by numbers of labels that are summed over the world, so they do not
depend on which rank has which structure; gradients of the encoder are summed over the world, those
of branches over their group.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from hydracalc.models.hydra import HydraModel
from hydracalc.parallel.buckets import GradientBuckets
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
        named = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._of_branches = [p for n, p in named.items() if n.startswith("branches.")]
        self._of_encoder = [p for n, p in named.items() if not n.startswith("branches.")]
        self._parameters = [*self._of_encoder, *self._of_branches]
        self._buckets = GradientBuckets(mesh, self._of_encoder, self._of_branches)
        self._touched: set[Parameter] = set()

    @property
    def device(self) -> torch.device:
        """Where the weights are, and so where batches belong."""
        return self._parameters[0].device

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
        self.mesh.sum_over_world(labels)
        if residual is None:
            return self.branch_weights.new_zeros(())
        everywhere = dict(zip(PROPERTIES, labels, strict=True))
        return objective(residual, self.branch_weights, config, everywhere)

    def backward(self, objective: Tensor) -> None:
        """Gradients of all parameters; their sums over ranks begin. Collective over the world.

        Args:
            objective: this rank's part of it; no parameter has a gradient before.
        """
        self._touched = self._buckets.backward(objective)

    @torch.no_grad()
    def gradients(
        self, objective: Tensor, *, clip: float, seconds: float, is_ending: bool
    ) -> StepReport:
        """Finish the sums of `backward`, and clip. Collective over the world.

        A parameter that no rank's structures touched keeps no gradient, as in one process.

        Args:
            objective: this rank's part of it.
            clip: largest norm of the gradient.
            seconds: that this rank has spent; the root's counts.
            is_ending: whether this rank was asked to end.
        """
        self._buckets.finish()
        told = torch.tensor(
            [
                float(objective.detach()),
                _square(_gradients(self._of_branches)) / len(self.mesh.group.ranks),
                seconds if self.mesh.is_root else 0.0,
                float(is_ending),
                *(float(parameter in self._touched) for parameter in self._parameters),
            ],
            dtype=torch.float64,
        )
        self.mesh.sum_over_world(told)
        self._keep(told[4:])
        norm = (_square(_gradients(self._of_encoder)) + float(told[1])) ** 0.5
        if norm > clip:
            torch._foreach_mul_(_gradients(self._parameters), clip / norm)
        return StepReport(
            objective=float(told[0]),
            gradient_norm=norm,
            seconds=float(told[2]),
            is_ending=bool(told[3] > 0),
        )

    def _keep(self, counts: Tensor) -> None:
        """Leave gradients to parameters that a rank's structures touched, and to these alone.

        Args:
            counts: ranks that touched each parameter; those of branches are counted together
                whatever the group, since in one process they are one tensor.
        """
        untouched = set()
        for parameter, count in zip(self._parameters, counts.tolist(), strict=True):
            if not count:
                untouched.add(parameter)
                parameter.grad = None
            elif parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._buckets.delay(untouched)


def _gradients(parameters: Sequence[Parameter]) -> list[Tensor]:
    """Gradients of those parameters that have one."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _square(tensors: list[Tensor]) -> float:
    """Sum of the squares of all entries."""
    if not tensors:
        return 0.0
    return float(torch.stack(torch._foreach_norm(tensors)).double().square().sum())

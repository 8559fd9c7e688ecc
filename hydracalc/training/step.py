"""One step: prediction, loss, gradient, update; and who is to blame if a number is not finite."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hydracalc.errors import DataError
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import HydraModel
from hydracalc.training.loss import Loss, Residuals
from hydracalc.training.metrics import ErrorSums
from hydracalc.training.source import Batch, GraphSource

if TYPE_CHECKING:
    from torch.optim import Optimizer


class NonFiniteError(DataError):
    """A loss or a gradient is not a finite number."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StepReport:
    """What a step measured before its update.

    Attributes:
        objective: what was minimized, without unit.
        gradient_norm: before clipping.
    """

    objective: float
    gradient_norm: float


def batch_residuals(
    model: HydraModel, graph: AtomicGraph, *, loss: Loss, errors: ErrorSums | None = None
) -> Residuals:
    """Losses of a batch; counts its errors in, too.

    Direct force heads, where the model has them, are evaluated and trained beside the energy.
    """
    prediction = model(graph, **loss.needs(graph))
    residuals = loss(prediction, graph)
    if errors is not None:
        errors.add(prediction, graph)
    if model.config.direct_forces and loss.config.direct_forces_weight > 0:
        direct = model(graph, forces="direct")
        residuals = residuals + loss.of_direct_forces(direct, graph)
        if errors is not None:
            errors.add_direct_forces(direct, graph)
    return residuals


def train_step(
    model: HydraModel,
    graph: AtomicGraph,
    *,
    loss: Loss,
    optimizer: "Optimizer",
    clip_norm: float,
    errors: ErrorSums | None = None,
) -> StepReport:
    """Update the encoder and all branches once.

    Minimizes  sum_b w_b * (sum of residuals in b) / (labels in b).  The division is by the counts
    of the whole batch, so gradients of its parts may be summed.

    Args:
        model: in training mode.
        graph: the batch.
        loss: turns predictions into residuals.
        optimizer: of the model's parameters.
        clip_norm: longest gradient.
        errors: where the batch's errors are counted in, if anywhere.

    Raises:
        NonFiniteError: the loss or the gradient is not finite; nothing was updated.
    """
    optimizer.zero_grad(set_to_none=True)
    residuals = batch_residuals(model, graph, loss=loss, errors=errors)
    objective = loss.objective(residuals, residuals.counts)
    objective.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    report = StepReport(objective=float(objective.detach()), gradient_norm=float(norm))
    if not (abs(report.objective) < torch.inf and report.gradient_norm < torch.inf):
        raise NonFiniteError(
            f"loss {report.objective} or gradient {report.gradient_norm} is not finite"
        )
    optimizer.step()
    return report


def blame(model: HydraModel, batch: Batch, *, source: GraphSource, loss: Loss) -> list[str]:
    """Names of the structures whose own loss or gradient is not finite, found one by one.

    Empty where only the batch as a whole has it. Gradients of the model are left cleared.
    """
    guilty = []
    for index in batch.indices:
        one = source.batch(index[None])
        model.zero_grad(set_to_none=True)
        graph = one.graph.to(batch.graph.positions.device)
        residuals = batch_residuals(model, graph, loss=loss)
        objective = loss.objective(residuals, residuals.counts)
        objective.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if not all(bool(torch.isfinite(each).all()) for each in (objective, *gradients)):
            guilty.append(one.graph.names[0] or f"number {index} of the training set")
    model.zero_grad(set_to_none=True)
    return guilty

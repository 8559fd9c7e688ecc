"""The best weights of a run by its validation, and when to stop waiting for better ones."""

from collections.abc import Mapping

import torch

from hydracalc.models.hydra import HydraModel
from hydracalc.training.loss import LossConfig
from hydracalc.training.metrics import MAE_KEYS


class BestWeights:
    """Keeps a copy of the best weights that a validation saw.

    Attributes:
        history: every validation's errors of the branch, in order.
        best: index into the history of the best one.

    Args:
        branch: whose errors decide.
        loss: weights of energy, forces and stress in what is compared.
        patience: validations without a better one before the end.
    """

    def __init__(self, branch: str, loss: LossConfig, patience: int) -> None:
        self.branch = branch
        self.history: list[dict[str, float]] = []
        self.best = -1
        self._loss = loss
        self._patience = patience
        self._score = float("inf")
        self._weights: dict[str, torch.Tensor] = {}

    def look(self, metrics: Mapping[str, Mapping[str, float]], model: HydraModel) -> bool:
        """Take a validation in; true where it is time to stop.

        Args:
            metrics: errors by branch, keys with units.
            model: that has them; its weights are copied if it is the best so far.
        """
        errors = dict(metrics[self.branch])
        self.history.append(errors)
        score = self.score(errors)
        if score < self._score:
            self._score, self.best = score, len(self.history) - 1
            self._weights = {name: p.detach().clone() for name, p in model.named_parameters()}
        return len(self.history) - 1 - self.best >= self._patience

    def score(self, errors: Mapping[str, float]) -> float:
        """What is made small: mean absolute errors, weighted as in the loss."""
        return sum(
            self._loss.weight(name) * errors[key] for name, key in MAE_KEYS.items() if key in errors
        )

    @torch.no_grad()
    def give_back(self, model: HydraModel) -> None:
        """Put the best weights into a model of the same shape."""
        for name, parameter in model.named_parameters():
            if name in self._weights:
                parameter.copy_(self._weights[name])

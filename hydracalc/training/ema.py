"""The average of recent weights, which predicts better than the weights of any one step."""

import copy
from dataclasses import dataclass

import torch

from hydracalc.models.hydra import HydraModel


@dataclass(frozen=True, kw_only=True)
class EmaConfig:
    """How long the average remembers.

    Attributes:
        decay: part of the average that a step keeps, once many are done.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay is {self.decay}, expected at least 0 and below 1")


class MovingAverage:
    """Exponential moving average of a model's weights.

    In step t it keeps the smaller of `decay` and (1 + t) / (10 + t): at first it forgets fast, so
    the random weights of the start leave no trace.

    Args:
        model: its weights begin the average.
        config: how long to remember.
    """

    def __init__(self, model: HydraModel, config: EmaConfig) -> None:
        self.config = config
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: HydraModel, step: int) -> None:
        """Let the model's present weights enter the average of step `step`, counted from 0."""
        keep = min(self.config.decay, (1 + step) / (10 + step))
        own: list[torch.Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(own, [p.detach() for p in model.parameters()], 1 - keep)

"""The average of recent weights: predicts better than the weights of any one step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class EMAConfig:
    """How long the average remembers.

    Attributes:
        decay: part of the average that is kept in a step, once many steps are done; 0 is no
            average.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay is {self.decay}, expected 0 <= it < 1")


class AveragedWeights:
    """Exponential moving average of a model's parameters.

    The average forgets faster at first, so the random weights of the start leave no trace: after t
    steps the decay is the smaller of `decay` and t / (t + 9).

    Args:
        model: its present parameters begin the average.
        config: how long to remember.
    """

    def __init__(self, model: nn.Module, config: EMAConfig) -> None:
        self.config = config
        self.num_updates = 0
        self.parameters = {
            name: parameter.detach().clone() for name, parameter in model.named_parameters()
        }

    def decay(self, num_updates: int) -> float:
        """Part of the average that the given update keeps, counted from 0."""
        return min(self.config.decay, num_updates / (num_updates + 9))

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Let the present parameters enter the average."""
        kept = self.decay(self.num_updates)
        present = dict(model.named_parameters())
        torch._foreach_lerp_(
            list(self.parameters.values()), [present[name] for name in self.parameters], 1 - kept
        )
        self.num_updates += 1

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model has the averaged parameters; afterwards its own again."""
        own: dict[str, Tensor] = {}
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                own[name] = parameter.detach().clone()
                parameter.copy_(self.parameters[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(own[name])

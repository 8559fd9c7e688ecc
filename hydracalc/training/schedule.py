"""How the learning rate goes over a run: up in a few steps, then down along a cosine."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Shape of the learning rate.

    Attributes:
        learning_rate: the highest.
        warmup_steps: steps in which it rises linearly.
        final_fraction: part of the highest that is left at the end.
    """

    learning_rate: float = 2e-3
    warmup_steps: int = 200
    final_fraction: float = 0.01

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, expected a positive number")
        if self.warmup_steps < 1:
            raise ValueError(f"warmup_steps is {self.warmup_steps}, expected at least 1")
        if not 0 <= self.final_fraction <= 1:
            raise ValueError(f"final_fraction is {self.final_fraction}, expected 0 to 1")


def learning_rate(step: int, progress: float, config: ScheduleConfig) -> float:
    """Learning rate of a step.

    Args:
        step: updates made before it.
        progress: part of the run that is done; beyond 1 counts as 1.
        config: shape.
    """
    warm = min(1.0, (step + 1) / config.warmup_steps)
    cosine = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    decayed = config.final_fraction + (1 - config.final_fraction) * cosine
    return config.learning_rate * warm * decayed

"""How the learning rate goes over a run: up fast, then down along a cosine."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Shape of the learning rate.

    Attributes:
        warmup_fraction: part of the run in which it rises linearly.
        final_fraction: learning rate at the end, relative to the highest.
    """

    warmup_fraction: float = 0.01
    final_fraction: float = 0.01

    def __post_init__(self) -> None:
        for name in ("warmup_fraction", "final_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 <= it < 1")


def learning_rate_factor(progress: float, config: ScheduleConfig) -> float:
    """Learning rate relative to its highest value.

    Args:
        progress: part of the run that is done after the step at hand, 0 to 1.
        config: shape.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < config.warmup_fraction:
        return progress / config.warmup_fraction
    decayed = (progress - config.warmup_fraction) / (1 - config.warmup_fraction)
    cosine = (1 + math.cos(math.pi * decayed)) / 2
    return config.final_fraction + (1 - config.final_fraction) * cosine

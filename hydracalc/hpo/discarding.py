"""Which trials end early: what the others had at the same rung decides."""

import math
from collections.abc import Sequence

import numpy as np

from hydracalc.hpo.config import DiscardingConfig
from hydracalc.hpo.curve import CurvePoint

_MOST_RUNGS = 3
_MEDIAN_RUNGS = (0.25, 0.5)


def rungs_of(config: DiscardingConfig, epochs: int) -> tuple[float, ...]:
    """Parts of a whole trial after which it is looked at; none that comes before one epoch."""
    if config.rule == "none":
        return ()
    if config.rungs:
        return config.rungs
    if config.rule == "median":
        return tuple(rung for rung in _MEDIAN_RUNGS if rung * epochs > 0.999)
    powers = [config.factor**-k for k in range(_MOST_RUNGS, 0, -1)]
    return tuple(rung for rung in powers if rung * epochs > 0.999)


def at_rung(curve: Sequence[CurvePoint], rung: float) -> CurvePoint | None:
    """The first validation of a trial at a rung or after it."""
    return next((point for point in curve if point.progress > rung - 1e-9), None)


def is_discarded(value: float, others: Sequence[float], config: DiscardingConfig) -> bool:
    """Whether a trial ends at a rung.

    Args:
        value: of its objective there, less is better.
        others: of all other trials that came there, those that ended later or there included.
        config: the rule.
    """
    if not math.isfinite(value):
        return True
    finite = [other for other in others if math.isfinite(other)]
    if config.rule == "median":
        return len(finite) >= config.min_trials and value > float(np.median(finite))
    if config.rule == "halving":
        kept = max(1, int((len(finite) + 1) / config.factor))
        return sum(other < value for other in finite) >= kept
    return False


def expected_end(value: float, rung: float, finished: Sequence[Sequence[CurvePoint]]) -> float:
    """What a discarded trial's objective would have come to.

    Early errors are larger than late ones, so the surrogate would take a discarded trial for far
    worse than it is. Its value is therefore scaled by the median gain of the trials that went from
    that rung to the end.

    Args:
        value: of the objective when the trial ended.
        rung: part of the trial that was done then.
        finished: curves of trials that were not ended early.
    """
    gains = []
    for curve in finished:
        early = at_rung(curve, rung)
        if early is not None and early.value > 0 and math.isfinite(curve[-1].value):
            gains.append(curve[-1].value / early.value)
    return value * float(np.median(gains)) if gains else value

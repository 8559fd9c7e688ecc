"""Is the early error a proxy of the final one? What early discarding rests on, from real trials."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from hydracalc.hpo.curve import CurvePoint
from hydracalc.hpo.journal import read_journal, read_settings

MIN_TRIALS = 5
_MOST_POINTS = 20
_SLACK = 1e-6
_NORMAL_95 = 1.959964  # 97.5 % quantile of the normal distribution


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How the order of trials at some point agrees with that at their end.

    Attributes:
        progress: part of the whole trial.
        epoch: median over trials.
        num_trials: that have an error there.
        spearman: rank correlation with the final error.
        low, high: its 95 % confidence interval.
        place_of_best: place that the trial which came out best had there, from 1.
    """

    progress: float
    epoch: float
    num_trials: int
    spearman: float
    low: float
    high: float
    place_of_best: int


@dataclass(frozen=True, kw_only=True)
class ProxyReport:
    """What the trials of one encoder say.

    Attributes:
        encoder: name.
        fidelity: of the trials, in words.
        objective: in words.
        num_trials: that went to their end; the report rests on them.
        num_discarded: that were ended early and say nothing.
        agreements: over the trial; none where there are too few trials.
        refused: why there are none.
    """

    encoder: str
    fidelity: str
    objective: str
    num_trials: int
    num_discarded: int
    agreements: tuple[Agreement, ...] = ()
    refused: str = ""

    @property
    def title(self) -> str:
        """In one line."""
        return f"{self.encoder}, {self.fidelity}, {self.objective}"


@dataclass
class _Group:
    curves: list[list[CurvePoint]]
    epochs: int
    discarded: int = 0


def report(searches: Sequence[Path]) -> list[ProxyReport]:
    """Rank correlation of early and final errors, for each encoder.

    Trials of different fidelity or objective are not mixed: their errors mean something else.

    Raises:
        ValueError: a folder holds no search.
        DataError: a journal is damaged.
    """
    groups: dict[tuple[str, str, str], _Group] = {}
    for folder in searches:
        config = read_settings(folder)
        minutes = config.fidelity.minutes
        fidelity = f"{config.fidelity.epochs} epochs"
        fidelity += f" or {minutes:g} minutes" if minutes is not None else ""
        objective = " + ".join(f"{w:g} {name}" for name, w in config.objective.metrics.items())
        for trial in read_journal(folder):
            if trial.status == "failed":
                continue
            key = (trial.encoder, fidelity, objective)
            group = groups.setdefault(key, _Group([], config.fidelity.epochs))
            if trial.status == "done":
                group.curves.append(trial.points)
            else:
                group.discarded += 1
    return [_reported(*key, group) for key, group in sorted(groups.items(), key=lambda g: g[0])]


def _reported(encoder: str, fidelity: str, objective: str, group: _Group) -> ProxyReport:
    count = len(group.curves)
    refused = ""
    if count < MIN_TRIALS:
        refused = f"{count} trials went to their end, expected at least {MIN_TRIALS}"
    return ProxyReport(
        encoder=encoder,
        fidelity=fidelity,
        objective=objective,
        num_trials=count,
        num_discarded=group.discarded,
        agreements=() if refused else tuple(agreements(group.curves, group.epochs)),
        refused=refused,
    )


def agreements(curves: Sequence[Sequence[CurvePoint]], epochs: int) -> list[Agreement]:
    """Agreement at every epoch, or at twenty points where there are more.

    Args:
        curves: of trials that went to their end.
        epochs: of a whole trial.
    """
    steps = min(epochs, _MOST_POINTS)
    found = []
    for step in range(1, steps):
        pairs = []
        for curve in curves:
            past = [p for p in curve if p.progress < step / steps + _SLACK]
            if past and past[-1].progress < 1 and math.isfinite(past[-1].value):
                pairs.append((past[-1], curve[-1].value))
        if len(pairs) >= MIN_TRIALS and (one := _agreement(step / steps, pairs)) is not None:
            found.append(one)
    return found


def _agreement(progress: float, pairs: Sequence[tuple[CurvePoint, float]]) -> Agreement | None:
    """Of early points and final errors; None where all of one side are equal.

    The interval is Fisher's, with the variance of Bonett and Wright for ranks
    (doi:10.1007/BF02294183).
    """
    early = np.array([point.value for point, _ in pairs])
    final = np.array([value for _, value in pairs])
    if np.ptp(early) == 0 or np.ptp(final) == 0:
        return None
    rho = float(spearmanr(early, final).statistic)
    center = math.atanh(min(max(rho, -1 + 1e-9), 1 - 1e-9))
    half = _NORMAL_95 * math.sqrt((1 + rho**2 / 2) / (len(pairs) - 3))
    return Agreement(
        progress=progress,
        epoch=float(np.median([point.epoch for point, _ in pairs])),
        num_trials=len(pairs),
        spearman=rho,
        low=math.tanh(center - half),
        high=math.tanh(center + half),
        place_of_best=int((early < early[final.argmin()]).sum()) + 1,
    )

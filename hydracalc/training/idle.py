"""How much of the ranks' time went into waiting, for each other or for the network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class IdleReport:
    """Where the time of R ranks went.

    Attributes:
        compute: seconds of each rank's own work, (R,).
        wait: seconds that each rank spent in collectives, (R,).
        imbalance: the part of `wait` before the slowest rank of a step had come, (R,); the rest is
            communication.
        steps: that were counted.
    """

    compute: np.ndarray
    wait: np.ndarray
    imbalance: np.ndarray
    steps: int

    @property
    def idle_per_rank(self) -> np.ndarray:
        """Part of each rank's time in which it waited for others' work, (R,)."""
        return _ratio(self.imbalance, self.compute + self.wait)

    @property
    def idle(self) -> float:
        """Part of all ranks' time in which they waited for others' work."""
        return float(_ratio(self.imbalance.sum(), (self.compute + self.wait).sum()))

    @property
    def communication(self) -> float:
        """Part of all ranks' time in collectives when every rank had come."""
        wait = (self.wait - self.imbalance).sum()
        return float(_ratio(wait, (self.compute + self.wait).sum()))

    def __add__(self, other: "IdleReport") -> "IdleReport":
        return IdleReport(
            compute=self.compute + other.compute,
            wait=self.wait + other.wait,
            imbalance=self.imbalance + other.imbalance,
            steps=self.steps + other.steps,
        )


class IdleTime:
    """Clock of one rank: its own work and its waits, step by step.

    A training loop calls `add` once a step, and now and then gathers what `drain` gives from all
    ranks, in their order, for `idle_report`.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[float, float]] = []

    def add(self, compute_seconds: float, wait_seconds: float) -> None:
        """Count a step.

        Args:
            compute_seconds: of this rank's own work.
            wait_seconds: in collectives, for others or for the network.
        """
        self._steps.append((compute_seconds, wait_seconds))

    def drain(self) -> np.ndarray:
        """Seconds of work and wait of the steps since the last call, (steps, 2)."""
        taken = np.array(self._steps, dtype=np.float64).reshape(-1, 2)
        self._steps = []
        return taken


def idle_report(clocks: Sequence[np.ndarray]) -> IdleReport:
    """What the clocks of all ranks say together.

    Args:
        clocks: what `IdleTime.drain` gave on each rank, R arrays (steps, 2).

    Raises:
        ValueError: ranks counted different numbers of steps, or there is no rank.
    """
    counts = [len(clock) for clock in clocks]
    if not counts or len(set(counts)) > 1:
        raise ValueError(f"ranks counted {counts} steps, expected the same number of each")
    compute, wait = np.moveaxis(np.stack(clocks), 2, 0)  # (R, steps) each
    behind = compute.max(axis=0) - compute
    return IdleReport(
        compute=compute.sum(axis=1),
        wait=wait.sum(axis=1),
        imbalance=np.minimum(behind, wait).sum(axis=1),
        steps=counts[0],
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.asarray(part) / np.where(np.asarray(whole) > 0, whole, 1.0)

"""How times are taken: warmed up, in turns, as medians with their spread.

What is compared takes turns within one run: on a machine that others use, too, both sides then see
the same disturbances, and the ratio of neighbors in time is steadier than that of two medians.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much time goes into a number.

    Attributes:
        seconds: rounds go on at least this long for each task.
        min_rounds: at least.
        max_rounds: at most.
        warm_up: rounds before, not counted.
    """

    seconds: float = 1.5
    min_rounds: int = 5
    max_rounds: int = 200
    warm_up: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.min_rounds <= self.max_rounds or self.warm_up < 0:
            raise ValueError(
                f"effort {self}: expected 1 <= min_rounds <= max_rounds and warm_up >= 0"
            )


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times of one task, ms.

    Attributes:
        median_ms: half of the calls were faster.
        low_ms, high_ms: first and third quartile.
        min_ms: the fastest.
        mean_ms: with everything that happens only now and then, such as new neighbor lists.
        count: calls.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    min_ms: float
    mean_ms: float
    count: int


def summary(times: Sequence[float] | np.ndarray) -> Timing:
    """Median and spread of times in ms, at least one."""
    low, median, high = np.percentile(times, [25, 50, 75])
    return Timing(
        median_ms=float(median),
        low_ms=float(low),
        high_ms=float(high),
        min_ms=float(np.min(times)),
        mean_ms=float(np.mean(times)),
        count=len(times),
    )


def ratio(times: np.ndarray, others: np.ndarray) -> float:
    """Median over rounds of one task's time in units of another's, taken in the same rounds."""
    return float(np.median(np.asarray(times) / np.asarray(others)))


def interleaved(
    tasks: Mapping[str, Callable[[], object]],
    *,
    effort: Effort,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """Times of every task in ms, (rounds,) each; every round calls each task once.

    Args:
        tasks: what is called, by name.
        effort: how long.
        device: waited for before the clock is read.
    """
    for _ in range(effort.warm_up):
        for task in tasks.values():
            task()
    rounds: list[list[float]] = []
    while _goes_on(rounds, effort):
        rounds.append([_timed(task, device) for task in tasks.values()])
    columns = np.array(rounds).T
    return dict(zip(tasks, columns, strict=True))


def _goes_on(rounds: list[list[float]], effort: Effort) -> bool:
    if len(rounds) < effort.min_rounds:
        return True
    slowest = max(sum(column) for column in zip(*rounds, strict=True))
    return len(rounds) < effort.max_rounds and slowest < 1000 * effort.seconds


def _timed(task: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    task()
    _wait(device)
    return 1000 * (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""Jumps of a function along a path: found however small, by looking closer where it is uneven."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_ORDER = 5  # of differences, small where a function is smooth
_AROUND = 8  # differences on each side that say what is usual
_FEWEST = 20  # points, so that every difference has some to be compared with
_FINER = 8  # between one look and the next
_LOOKS = 4  # closer and closer: 8**4 times finer in the end
_BY_FAR = 0.1  # of the mark: what is found to be smaller is not looked at closer
_CANDIDATES = 2  # of the most unusual, and of the largest, differences

PathFunction = Callable[[float], np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """A function at even places, and what is known of it.

    Attributes:
        points: places, evenly spaced, (M,).
        values: of the function, (M, C).
        rounding: unevenness that is not looked into, (M,).
        marks: steps that pass, (M,).

    Raises:
        ValueError: there are fewer points than the differences need.
    """

    points: np.ndarray
    values: np.ndarray
    rounding: np.ndarray
    marks: np.ndarray

    def __post_init__(self) -> None:
        if len(self.points) < _FEWEST:
            raise ValueError(f"{len(self.points)} points, expected at least {_FEWEST}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Jump:
    """A step of a function, where on the path it is, and what passes there."""

    size: float
    place: float
    mark: float


def worst_jump(function: PathFunction, samples: Samples) -> Jump:
    """The step of a function that should be continuous which is largest beside its mark.

    Differences of fifth order over even points are small where the function is smooth, and as
    large as a jump where it has one. Where they stand out, or are largest, the function is asked
    again at points closer by, until what is left between two points is the jump, or so small that
    it passes by far.

    Args:
        function: of the place, to (C,).
        samples: of it.

    Returns:
        the jump, or what it is at most; not a number where the function is none.
    """
    points, values = samples.points, samples.values
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        first = broken[0]
        return Jump(
            size=float("nan"), place=float(points[first]), mark=float(np.nanmin(samples.marks))
        )
    uneven = np.abs(np.diff(values, n=_ORDER, axis=0)).max(axis=1)  # (M - 5,)
    middle = slice(_ORDER // 2, _ORDER // 2 + len(uneven))  # the interval of each difference
    rounding, marks = samples.rounding[middle], samples.marks[middle]
    candidates = _candidates(uneven, rounding)
    if not candidates:
        most = int(np.argmax(uneven / marks))
        place = float(points[middle][most])
        return Jump(size=float(uneven[most]), place=place, mark=float(marks[most]))
    found = []
    for index in candidates:
        ends = _window(points, index + _ORDER // 2)
        found.append(_closer(function, *ends, mark=float(marks[index])))
    return max(found, key=lambda jump: jump.size / jump.mark)


def _candidates(uneven: np.ndarray, rounding: np.ndarray) -> list[int]:
    """Differences to look into: those that stand out among their neighbors, and the largest."""
    standing_out = np.empty_like(uneven)
    for i in range(len(uneven)):
        beside = [*uneven[max(0, i - _AROUND - _ORDER) : max(0, i - _ORDER)]]
        beside += [*uneven[i + _ORDER + 1 : i + _ORDER + 1 + _AROUND]]
        standing_out[i] = uneven[i] / (np.median(beside) + rounding[i])
    chosen: set[int] = set()
    for score in (standing_out, uneven / rounding):
        left = np.where(uneven > rounding, score, 0.0)
        for _ in range(_CANDIDATES):
            best = int(np.argmax(left))
            if left[best] <= 0:
                break
            left[max(0, best - _ORDER) : best + _ORDER + 1] = 0
            chosen.add(best)
    return sorted(chosen)


def _window(points: np.ndarray, interval: int) -> tuple[float, float]:
    """Ends of an interval and of one on each side."""
    return float(points[max(0, interval - 1)]), float(points[min(len(points) - 1, interval + 2)])


def _closer(function: PathFunction, start: float, end: float, *, mark: float) -> Jump:
    """The jump within an interval, from closer and closer."""
    jump = Jump(size=0.0, place=start, mark=mark)
    for _ in range(_LOOKS):
        points = np.linspace(start, end, 3 * _FINER + 1)
        values = np.array([function(point) for point in points])
        steps = np.diff(values, axis=0)
        # what a step has beyond the mean of its neighbors: all of a jump, little of a slope
        beyond = np.abs(steps[1:-1] - (steps[:-2] + steps[2:]) / 2).max(axis=1)
        interval = int(np.argmax(beyond)) + 1
        jump = Jump(size=float(beyond[interval - 1]), place=float(points[interval]), mark=mark)
        if jump.size <= _BY_FAR * mark:
            break
        start, end = _window(points, interval)
    return jump

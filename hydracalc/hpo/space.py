"""What a search may change: keys of a recipe, each with a range or with choices."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# of an axis beside the one that has a key's name: how often the value is repeated
_TIMES = " times"

# axis to value; numbers as they are, choices as JSON
Point = Mapping[str, int | float | str]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Values that one key of a recipe may take.

    Attributes:
        low: the smallest; whole numbers at both ends mean whole numbers between.
        high: the largest.
        log: draw evenly in the logarithm.
        choices: values one by one, instead of low and high; text, numbers, true, false or lists.
        repeat: the key is a list, of one value so many times, from the first number to the second:
            widths of hidden layers.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    repeat: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.choices:
            if not (self.low is self.high is self.repeat is None) or self.log:
                raise ValueError("choices go without low, high, log and repeat")
            labels = [json.dumps(choice) for choice in self.choices]
            if len(set(labels)) < len(labels):
                raise ValueError(f"choices are {labels}, expected each once")
            return
        if self.low is None or self.high is None or not self.low < self.high:
            raise ValueError(f"low is {self.low} and high {self.high}, expected low below high")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}, expected a positive number where log is true")
        if self.repeat is not None and not 1 <= self.repeat[0] <= self.repeat[1]:
            raise ValueError(f"repeat is {list(self.repeat)}, expected two rising numbers from 1")

    @property
    def is_integer(self) -> bool:
        """Whether values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One number or choice that is searched.

    Attributes:
        name: of a point's entry.
        low: smallest value; of choices unused.
        high: largest value.
        is_integer: whether only whole numbers are meant.
        log: whether the logarithm is even.
        labels: choices as JSON; none for numbers.
    """

    name: str
    low: int | float = 0
    high: int | float = 0
    is_integer: bool = False
    log: bool = False
    labels: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The recipe's key that it belongs to."""
        return self.name.removesuffix(_TIMES)

    def at(self, part: float) -> int | float | str:
        """Value at a part of the axis, from 0 to below 1."""
        if self.labels:
            return self.labels[min(int(part * len(self.labels)), len(self.labels) - 1)]
        # whole numbers are as wide as the others, the ones at the ends too
        margin = 0.5 if self.is_integer else 0.0
        low, high = self.low - margin, self.high + margin
        if self.log:
            value = math.exp(math.log(low) + part * (math.log(high) - math.log(low)))
        else:
            value = low + part * (high - low)
        if self.is_integer:
            return int(min(max(round(value), self.low), self.high))
        return min(max(value, float(self.low)), float(self.high))

    def allows(self, value: object) -> bool:
        """Whether a value is on the axis."""
        if self.labels:
            return value in self.labels
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.is_integer or value == int(value))


@dataclass(frozen=True)
class Space:
    """All keys that are searched.

    Attributes:
        ranges: by key of the recipe.
    """

    ranges: Mapping[str, Range]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """One for each key, two where values are repeated."""
        found = []
        for key, given in self.ranges.items():
            if given.choices:
                labels = tuple(json.dumps(choice) for choice in given.choices)
                found.append(Axis(name=key, labels=labels))
                continue
            assert given.low is not None
            assert given.high is not None
            found.append(
                Axis(
                    name=key,
                    low=given.low,
                    high=given.high,
                    is_integer=given.is_integer,
                    log=given.log,
                )
            )
            if given.repeat is not None and given.repeat[0] < given.repeat[1]:
                low, high = given.repeat
                found.append(Axis(name=key + _TIMES, low=low, high=high, is_integer=True))
        return tuple(found)

    def draw(self, rng: np.random.Generator) -> dict[str, int | float | str]:
        """A point, evenly drawn."""
        return {axis.name: axis.at(float(rng.random())) for axis in self.axes}

    def values(self, point: Point) -> dict[str, Any]:
        """Keys of the recipe and their values at a point."""
        found: dict[str, Any] = {}
        for key, given in self.ranges.items():
            value: Any = point[key]
            if given.choices:
                value = json.loads(str(value))
            elif given.repeat is not None:
                value = [value] * int(point.get(key + _TIMES, given.repeat[0]))
            found[key] = value
        return found

    def locate(self, values: Mapping[str, Any]) -> dict[str, int | float | str]:
        """The point of some values, of this search or of another one.

        Raises:
            ValueError: a key is missing, or its value is not in its range.
        """
        point: dict[str, int | float | str] = {}
        for key, given in self.ranges.items():
            if key not in values:
                raise ValueError(f"no value for {key}")
            point |= _parts(key, given, values[key])
        for axis in self.axes:
            if not axis.allows(point[axis.name]):
                raise ValueError(f"{axis.name} is {point[axis.name]}, not in its range")
        return {axis.name: point[axis.name] for axis in self.axes}


def _parts(key: str, given: Range, value: Any) -> dict[str, Any]:  # noqa: ANN401  # of a recipe
    """Entries of a point that one key has.

    Raises:
        ValueError: the value is not of the kind that its range gives.
    """
    if given.choices:
        return {key: json.dumps(value)}
    if given.repeat is None:
        return {key: value}
    low, high = given.repeat
    if not isinstance(value, list | tuple) or not low <= len(value) <= high:
        raise ValueError(f"{key} is {value}, expected a list of {low} to {high} values")
    if len(set(value)) > 1:
        raise ValueError(f"{key} is {value}, expected one value repeated")
    return {key: value[0], key + _TIMES: len(value)}


def overrides_of(values: Mapping[str, Any]) -> list[str]:
    """Values as overrides of a recipe; JSON of numbers, texts and lists is TOML too."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]

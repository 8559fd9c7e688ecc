"""Conditions on columns as people write them: "energy_per_atom < -3 and max_force <= 0.5"."""

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hydracalc.errors import unknown

_OPERATORS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_COMPARISON = re.compile(r"\s*([A-Za-z_][\w.\-]*)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*")
_AND = re.compile(r"\band\b|,|&+")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One comparison of a column with a number.

    Attributes:
        column: name of the column.
        comparison: "<", "<=", ">", ">=", "==" or "!=".
        value: in the column's unit.
    """

    column: str
    comparison: str
    value: float

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Where the comparison is true, bool; it is nowhere true of NaN, which is no value."""
        return np.asarray(_OPERATORS[self.comparison](values, self.value) & ~np.isnan(values))


def parse_conditions(texts: Iterable[str], columns: Sequence[str]) -> list[Condition]:
    """The comparisons of some texts, all of which are to hold.

    Args:
        texts: comparisons `COLUMN OPERATOR NUMBER`, several in a text joined by "and" or a comma.
        columns: names that exist.

    Raises:
        ValueError: a text is no comparison, or names no column.
    """
    return [_parsed(part, columns) for text in texts for part in _AND.split(text)]


def _parsed(text: str, columns: Sequence[str]) -> Condition:
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise ValueError(
            f"condition {text.strip()!r}: expected COLUMN, one of {' '.join(_OPERATORS)}, and a "
            "number, as in energy_per_atom<-3"
        )
    column, comparison, number = found.groups()
    if column not in columns:
        raise ValueError(unknown("column", column, columns))
    try:
        value = float(number)
    except ValueError:
        value = np.nan
    if np.isnan(value):
        raise ValueError(f"condition {text.strip()!r}: {number!r} is no number")
    return Condition(column=column, comparison=comparison, value=value)

"""Which structures of a screening are kept with their atoms: those that pass, and the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hydracalc.errors import unknown
from hydracalc.screening.columns import PREDICTED, best, column_names, described, values_of
from hydracalc.screening.conditions import Condition, parse_conditions

ORDERS = ("lowest", "highest")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What makes a structure worth keeping; numbers are kept of all.

    Attributes:
        where: conditions on columns, all of which are to hold.
        top: keep only so many of those, the best; None keeps all.
        by: column that says which are best.
        order: "lowest" or "highest" values are best; None is what is usual for the column.
        forces: also keep the forces.
    """

    where: tuple[str, ...] = ()
    top: int | None = None
    by: str = "energy_per_atom"
    order: Literal["lowest", "highest"] | None = None
    forces: bool = False

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise ValueError(f"top is {self.top}, expected at least 1")
        if self.order is not None and self.order not in ORDERS:
            raise ValueError(unknown("order", self.order, ORDERS))

    @property
    def lowest_first(self) -> bool:
        """Whether low values are the best."""
        return described(self.by).lowest_first if self.order is None else self.order == "lowest"

    def conditions(self, branches: Sequence[str], *, relaxed: bool) -> list[Condition]:
        """The conditions, checked against the columns that there are.

        Raises:
            ValueError: a condition cannot be read, or a column does not exist.
        """
        names = column_names(branches, relaxed=relaxed)
        if self.by not in names:
            raise ValueError(unknown("column", self.by, names))
        return parse_conditions(self.where, names)

    def rows(
        self,
        columns: Mapping[str, np.ndarray],
        conditions: Sequence[Condition],
        branches: Sequence[str],
    ) -> np.ndarray:
        """Rows that are selected: the best first if a number of them is asked for.

        Args:
            columns: as they are stored.
            conditions: of this selection.
            branches: of the model.
        """
        passes = columns["status"] == PREDICTED
        for condition in conditions:
            passes &= condition.holds(values_of(columns, condition.column, branches))
        if self.top is None:
            return np.flatnonzero(passes)
        values = np.where(passes, values_of(columns, self.by, branches), np.nan)
        return best(values, self.top, lowest_first=self.lowest_first)

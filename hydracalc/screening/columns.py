"""What is kept of every structure of a screening: names, types and units of the columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# why a structure has no numbers; stored as the index, 0 has them
REASONS = (
    "predicted",
    "unreadable",
    "no atoms",
    "unknown element",
    "no neighbor list",
    "colliding atoms",
    "overflow",
    "out of memory",
    "refused",
)
PREDICTED = 0

# reasons to doubt the numbers; stored as a sum of these
CLOSE_ATOMS = 1
NEW_TO_THE_BRANCHES = 2


@dataclass(frozen=True)
class Column:
    """One number for each structure, or one for each structure and branch.

    Attributes:
        dtype: on disk.
        unit: empty for a plain number.
        of_branches: whether there is one for each branch.
        lowest_first: whether the best structures have the lowest values, unless told otherwise.
    """

    dtype: str = "float64"
    unit: str = ""
    of_branches: bool = False
    lowest_first: bool = True


STORED = {
    "status": Column("int8"),
    "doubts": Column("int8"),
    "num_atoms": Column("int32"),
    "energy": Column(unit="eV"),
    "interaction_energy": Column(unit="eV"),
    "uncertainty": Column(unit="eV/atom", lowest_first=False),
    "max_force": Column(unit="eV/Angstrom"),
    "pressure": Column(unit="GPa"),
    "branch_energy": Column(unit="eV", of_branches=True),
    "weight": Column(of_branches=True, lowest_first=False),
}
# of relaxations alone
RELAXED = {
    "energy_start": Column(unit="eV"),
    "steps": Column("int32"),
    "converged": Column("int8"),
}
# energies of a structure over the number of its atoms, made when they are asked for
DERIVED = {
    "energy_per_atom": Column(unit="eV/atom"),
    "interaction_energy_per_atom": Column(unit="eV/atom"),
}
_PER_ATOM = "_per_atom"


def stored_columns(*, relaxed: bool) -> dict[str, Column]:
    """Columns on disk, by name."""
    return STORED | RELAXED if relaxed else STORED


def column_names(branches: Sequence[str], *, relaxed: bool) -> list[str]:
    """Names that may be asked for; those of a branch are as "weight.mptrj"."""
    names = []
    for name, column in (stored_columns(relaxed=relaxed) | DERIVED).items():
        names += [f"{name}.{branch}" for branch in branches] if column.of_branches else [name]
    return names


def described(name: str) -> Column:
    """Type and unit of a column of `column_names`."""
    return (STORED | RELAXED | DERIVED)[name.split(".")[0]]


def values_of(arrays: Mapping[str, np.ndarray], name: str, branches: Sequence[str]) -> np.ndarray:
    """A column as it is stored, or made of those that are, (S,).

    Args:
        arrays: stored columns, by name.
        name: as `column_names` has it.
        branches: of the model.
    """
    stored, _, branch = name.partition(".")
    if stored in DERIVED:
        return arrays[stored.removesuffix(_PER_ATOM)] / np.maximum(arrays["num_atoms"], 1)
    return arrays[stored][:, list(branches).index(branch)] if branch else arrays[stored]


def needed_for(name: str) -> tuple[str, ...]:
    """Stored columns that a column is made of."""
    stored = name.partition(".")[0]
    if stored in DERIVED:
        return stored.removesuffix(_PER_ATOM), "num_atoms"
    return (stored,)


def best(values: np.ndarray, count: int | None, *, lowest_first: bool) -> np.ndarray:
    """Indices of the best values, the best first; equal ones in their order, NaN never.

    Args:
        values: (S,).
        count: how many at most; None is all.
        lowest_first: whether low is good.
    """
    known = np.flatnonzero(~np.isnan(values))
    signed = values[known] if lowest_first else -values[known]
    return known[np.argsort(signed, kind="stable")[:count]]

"""The one table of what a structure carries: name, type, shape and unit of every field.

Shards, graphs, extxyz output and the documentation all read this table, so a field is described
once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Field:
    """One array of a structure.

    Attributes:
        name: attribute of `AtomicStructure`, variable in a shard.
        dtype: NumPy type on disk and in memory.
        shape: sizes, "N" standing for the number of atoms; () is a scalar.
        unit: unit inside hydracalc, "" where the field is a pure number.
        required: False where a dataset may not have it.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    unit: str
    required: bool = True

    @property
    def is_per_atom(self) -> bool:
        """Whether the first axis runs over atoms."""
        return self.shape[:1] == ("N",)


FIELDS = {
    field.name: field
    for field in (
        Field(name="atomic_numbers", dtype="int64", shape=("N",), unit=""),
        Field(name="positions", dtype="float64", shape=("N", 3), unit="Angstrom"),
        Field(name="cell", dtype="float64", shape=(3, 3), unit="Angstrom"),
        Field(name="pbc", dtype="bool", shape=(3,), unit=""),
        Field(name="total_charge", dtype="int64", shape=(), unit="e"),
        Field(name="spin_multiplicity", dtype="int64", shape=(), unit=""),
        Field(name="energy", dtype="float64", shape=(), unit="eV", required=False),
        Field(name="forces", dtype="float64", shape=("N", 3), unit="eV/Angstrom", required=False),
        Field(name="stress", dtype="float64", shape=(3, 3), unit="eV/Angstrom^3", required=False),
    )
}


def checked(name: str, value: Any, num_atoms: int) -> Any:  # noqa: ANN401
    """The value as the table types it.

    Args:
        name: field of the table.
        value: what was given; None is allowed where the field is not required.
        num_atoms: N.

    Raises:
        ValueError: the field is missing, or its shape is not the table's.
    """
    field = FIELDS[name]
    if value is None:
        if field.required:
            raise ValueError(f"{name} is missing")
        return None
    shape = tuple(num_atoms if size == "N" else size for size in field.shape)
    array = np.ascontiguousarray(value, dtype=field.dtype).reshape(np.shape(value))
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    return array if shape else array.item()

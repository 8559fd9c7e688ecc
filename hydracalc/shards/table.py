"""Many structures as a few long arrays: what a shard holds and a store keeps in memory.

Arrays of atoms are joined end to end, and `offsets` says where each structure starts. The names
and types come from the one field table, so a field added there is written and read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydracalc.errors import unknown
from hydracalc.fields import FIELDS, Field
from hydracalc.structure import AtomicStructure

SPLITS = ("train", "val", "test")  # stored as their index
TEXTS = ("group", "source")  # stored as UTF-8 bytes end to end, with offsets of their own
OFFSETS = "offsets"
SPLIT = "split"

PER_ATOM = tuple(field for field in FIELDS.values() if field.is_per_atom)
PER_STRUCTURE = tuple(field for field in FIELDS.values() if not field.is_per_atom)


@dataclass(frozen=True, eq=False)
class StructureTable:
    """Structures of one branch, read-only.

    Attributes:
        branch: dataset whose level of theory made the labels.
        arrays: `offsets` (S + 1,) int64 in atoms; `split` (S,) int8, index into SPLITS; per-atom
            fields (sum of N, ...); other fields (S, ...); `group` and `source` as uint8 with
            `group_offsets` and `source_offsets` (S + 1,) int64. A label that a structure lacks is
            NaN. Units are the field table's.
    """

    branch: str
    arrays: dict[str, np.ndarray]

    def __post_init__(self) -> None:
        for array in self.arrays.values():
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.arrays[OFFSETS]) - 1

    @property
    def num_atoms(self) -> np.ndarray:
        """Atoms of each structure, int64, (S,)."""
        return np.diff(self.arrays[OFFSETS])

    @property
    def splits(self) -> np.ndarray:
        """Index into SPLITS of each structure, int8, (S,)."""
        return self.arrays[SPLIT]

    def text(self, name: str, index: int) -> str:
        """The group or source of one structure."""
        start, stop = self.arrays[f"{name}_offsets"][index : index + 2]
        return self.arrays[name][start:stop].tobytes().decode()

    def rows(self, keep: np.ndarray) -> "StructureTable":
        """Some of the structures, in their order.

        Args:
            keep: bool, (S,).
        """
        if keep.all():
            return self
        arrays = {}
        atoms = np.repeat(keep, self.num_atoms)
        for field in FIELDS.values():
            arrays[field.name] = self.arrays[field.name][atoms if field.is_per_atom else keep]
        arrays[OFFSETS] = offsets_of(self.num_atoms[keep])
        arrays[SPLIT] = self.splits[keep]
        for name in TEXTS:
            lengths = np.diff(self.arrays[f"{name}_offsets"])
            arrays[name] = self.arrays[name][np.repeat(keep, lengths)]
            arrays[f"{name}_offsets"] = offsets_of(lengths[keep])
        return StructureTable(self.branch, arrays)

    def with_splits(self, splits: np.ndarray) -> "StructureTable":
        """The same structures on other sides.

        Args:
            splits: index into SPLITS of each, int8, (S,).
        """
        return StructureTable(self.branch, {**self.arrays, SPLIT: splits.astype(np.int8)})

    def structure(self, index: int) -> AtomicStructure:
        """One structure; its arrays are read-only views of this table.

        Its `split` is the one it was stored under.
        """
        arrays = self.arrays
        start, stop = arrays[OFFSETS][index : index + 2]
        values: dict[str, Any] = {f.name: arrays[f.name][start:stop] for f in PER_ATOM}
        for field in PER_STRUCTURE:
            value = arrays[field.name][index]
            values[field.name] = value if field.shape else value.item()
        for field in FIELDS.values():
            if not field.required and _is_absent(values[field.name]):
                values[field.name] = None
        values |= {name: self.text(name, index) for name in TEXTS}
        values |= {"branch": self.branch, "split": SPLITS[arrays[SPLIT][index]]}
        # checked when it was written and hashed since: checking again would cost most of a fetch
        structure = object.__new__(AtomicStructure)
        structure.__dict__.update(values)
        return structure


def _is_absent(value: Any) -> bool:  # noqa: ANN401  # a number or an array
    """Whether a label is the NaN that stands for none; half a label is never stored."""
    first = value.flat[0] if isinstance(value, np.ndarray) else value
    return bool(first != first)


def split_index(split: str) -> int:
    """Index of a split's name.

    Raises:
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(unknown("split", split, SPLITS))
    return SPLITS.index(split)


def published_split(structure: AtomicStructure) -> int:
    """Index of the split that a dataset publishes for a structure; -1 where it publishes none.

    Raises:
        ValueError: there is no such split.
    """
    if structure.split is None:
        return -1
    if structure.split not in SPLITS:
        message = unknown("split", structure.split, SPLITS)
        raise ValueError(f"structure {structure.source or '(unnamed)'}: {message}")
    return SPLITS.index(structure.split)


def from_structures(
    branch: str, structures: Sequence[AtomicStructure], splits: Sequence[int]
) -> StructureTable:
    """Structures end to end.

    Args:
        branch: of all of them.
        structures: at least one, each with at least one atom.
        splits: index into SPLITS of each.
    """
    num_atoms = [structure.num_atoms for structure in structures]
    arrays = {OFFSETS: offsets_of(num_atoms), SPLIT: np.array(splits, dtype=np.int8)}
    for field in FIELDS.values():
        values = [_filled(structure, field) for structure in structures]
        joined = np.concatenate(values) if field.is_per_atom else np.stack(values)
        arrays[field.name] = np.ascontiguousarray(joined, dtype=field.dtype)
    for name in TEXTS:
        encoded = [getattr(structure, name).encode() for structure in structures]
        arrays[name] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        arrays[f"{name}_offsets"] = offsets_of([len(text) for text in encoded])
    return StructureTable(branch, arrays)


def _filled(structure: AtomicStructure, field: Field) -> np.ndarray:
    value = getattr(structure, field.name)
    if value is not None:
        return np.asarray(value)
    return np.full([structure.num_atoms if isinstance(n, str) else n for n in field.shape], np.nan)


def offsets_of(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where each of several pieces starts once they are joined, and the end of the last, int64."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def join(tables: Sequence[StructureTable]) -> StructureTable:
    """Tables of one branch end to end; at least one."""
    if len(tables) == 1:
        return tables[0]
    arrays = {}
    for name in tables[0].arrays:
        parts = [table.arrays[name] for table in tables]
        if name.endswith(OFFSETS):
            arrays[name] = offsets_of(np.concatenate([np.diff(part) for part in parts]))
        else:
            arrays[name] = np.concatenate(parts)
    return StructureTable(tables[0].branch, arrays)

"""Structures out of long arrays and out of records: many at once, a field at a time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from hydracalc.fields import FIELDS
from hydracalc.shards.table import OFFSETS, SPLIT, SPLITS, TEXTS, StructureTable, offsets_of
from hydracalc.store.records import (
    BYTES_PER_ATOM,
    FIXED_BYTES,
    PARTS,
    Part,
    checked_header,
    places,
    ragged,
)
from hydracalc.structure import AtomicStructure


def structures_of(table: StructureTable, rows: np.ndarray) -> list[AtomicStructure]:
    """Rows of a table as structures whose arrays are views of it; nothing is copied but texts.

    Args:
        table: of one branch.
        rows: int64, each in 0..len - 1; may repeat.
    """
    arrays = table.arrays
    starts, stops = arrays[OFFSETS][rows], arrays[OFFSETS][rows + 1]
    columns: dict[str, list[Any]] = {}
    for field in FIELDS.values():
        array = arrays[field.name]
        first = array[starts if field.is_per_atom else rows]
        if field.is_per_atom:
            make = partial(_cut, array, starts, stops)
        else:
            make = partial(_picked, array, rows) if field.shape else first.tolist
        columns[field.name] = _labels(
            field.name, first[(slice(None), *[0] * (first.ndim - 1))], make
        )
    for name in TEXTS:
        ends = arrays[f"{name}_offsets"]
        columns[name] = _texts(arrays[name], ends[rows], ends[rows + 1] - ends[rows])
    return _assembled(table.branch, columns, arrays[SPLIT][rows])


def table_rows(table: StructureTable, rows: np.ndarray) -> StructureTable:
    """Rows of a table as another one, in any order.

    Args:
        table: of one branch.
        rows: int64, each in 0..len - 1; may repeat.
    """
    arrays = {}
    atoms = ragged(table.arrays[OFFSETS][rows], table.num_atoms[rows])
    for field in FIELDS.values():
        arrays[field.name] = table.arrays[field.name][atoms if field.is_per_atom else rows]
    arrays[OFFSETS] = offsets_of(table.num_atoms[rows])
    arrays[SPLIT] = table.splits[rows]
    for name in TEXTS:
        starts = table.arrays[f"{name}_offsets"]
        lengths = starts[rows + 1] - starts[rows]
        arrays[name] = table.arrays[name][ragged(starts[rows], lengths)]
        arrays[f"{name}_offsets"] = offsets_of(lengths)
    return StructureTable(table.branch, arrays)


def structures_at(
    block: np.ndarray, starts: np.ndarray, num_atoms: np.ndarray, branch: str, *, copies: bool
) -> list[AtomicStructure]:
    """Structures of records.

    Args:
        block: records, uint8, with a length that is a multiple of 8.
        starts: first byte of each record wanted, int64, (S,); may repeat.
        num_atoms: of each structure wanted, int64, (S,).
        branch: of all of them.
        copies: whether arrays are copies, made a field at a time, or views of the block; they are
            read-only in either case.

    Raises:
        DataError: at one of the starts there is no record of a structure with so many atoms.
    """
    header = checked_header(block, starts, num_atoms, branch)
    columns: dict[str, list[Any]] = {}
    for part in (PARTS[name] for name in FIELDS):
        numbers, first = block.view(part.dtype), part.first(starts, num_atoms)
        if not part.shape and not part.is_per_atom:
            make: Callable[[], list[Any]] = numbers[first].tolist
        else:
            make = partial(_copied if copies else _viewed, block, starts, num_atoms, part)
        columns[part.name] = _labels(part.name, numbers[first], make)
    lengths = header[:, 1:]
    behind = starts + FIXED_BYTES + BYTES_PER_ATOM * num_atoms
    joined = block[ragged(behind, lengths.sum(axis=1))]
    texts = _pieces(joined, lengths.reshape(-1))  # those of one structure, then of the next
    columns |= {name: texts[number :: len(TEXTS)] for number, name in enumerate(TEXTS)}
    splits = block.view("int8")[PARTS[SPLIT].first(starts, num_atoms)]
    return _assembled(branch, columns, splits)


def _labels(name: str, first: np.ndarray, make: Callable[[], list[Any]]) -> list[Any]:
    """What is made, None in the place of labels that are absent, which are stored as NaN."""
    if FIELDS[name].required:
        return make()
    absent = np.isnan(first)
    if absent.all():
        return [None] * len(first)
    values = make()
    for place in np.flatnonzero(absent).tolist():
        values[place] = None
    return values


def _copied(
    block: np.ndarray, starts: np.ndarray, num_atoms: np.ndarray, part: Part
) -> list[np.ndarray]:
    """One field of records, in memory of its own."""
    values = block.view(part.dtype)[places(part, starts, num_atoms)]
    values.flags.writeable = False
    if not part.is_per_atom:
        rows = values.reshape(-1, *part.shape)
        # what all have in common, as the open directions of molecules, is there once
        is_common = len(rows) > 0 and (rows == rows[0]).all()
        return [rows[0]] * len(rows) if is_common else list(rows)
    bounds = offsets_of(num_atoms)
    return _cut(values.reshape(-1, *part.shape), bounds[:-1], bounds[1:])


def _viewed(
    block: np.ndarray, starts: np.ndarray, num_atoms: np.ndarray, part: Part
) -> list[np.ndarray]:
    """One field of records, where it lies."""
    numbers, first = block.view(part.dtype), part.first(starts, num_atoms)
    numbers.flags.writeable = False
    shape = (-1, *part.shape) if part.is_per_atom else part.shape
    stops = first + (part.count * num_atoms if part.is_per_atom else part.count)
    pieces = _cut(numbers, first, stops)
    return pieces if len(shape) == 1 else [piece.reshape(shape) for piece in pieces]


def _cut(array: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> list[np.ndarray]:
    """Views of ranges."""
    pairs = zip(starts.tolist(), stops.tolist(), strict=True)
    return [array[start:stop] for start, stop in pairs]


def _picked(array: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Views of single rows."""
    return [array[row] for row in rows.tolist()]


def _texts(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> list[str]:
    """Texts that lie in UTF-8 at the given places."""
    return _pieces(data[ragged(starts, lengths)], lengths)


def _pieces(data: np.ndarray, lengths: np.ndarray) -> list[str]:
    """Texts that lie in UTF-8 one after the other."""
    joined = data.tobytes()
    bounds = offsets_of(lengths).tolist()
    pairs = zip(bounds[:-1], bounds[1:], strict=True)
    if joined.isascii():  # a character is a byte
        text = joined.decode("ascii")
        return [text[start:stop] for start, stop in pairs]
    return [joined[start:stop].decode() for start, stop in pairs]


def _assembled(
    branch: str, columns: dict[str, list[Any]], splits: np.ndarray
) -> list[AtomicStructure]:
    """Structures of values that were checked when they were written."""
    columns["split"] = [SPLITS[split] for split in splits.tolist()]
    columns["branch"] = [branch] * len(splits)
    structures = [object.__new__(AtomicStructure) for _ in range(len(splits))]
    attributes = [structure.__dict__ for structure in structures]
    for name, values in columns.items():  # a field at a time: twice as fast as a structure
        for own, value in zip(attributes, values, strict=True):
            own[name] = value
    return structures

"""One structure after another as bytes: what shared, distributed and mapped stores hold.

A record is everything about one structure in one piece, so that fetching it is one range of memory,
of a file, or of another rank. Its parts follow the field table, longest numbers first, so that
each lies on a multiple of its own size and can be looked at in place:

    number of atoms, bytes of group and source | 8-byte fields | ... | bytes, texts, zeros up to 8
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hydracalc.errors import DataError
from hydracalc.fields import FIELDS
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import OFFSETS, SPLIT, TEXTS, StructureTable, offsets_of

ALIGNMENT = 8
_HEADER = "header"
# atoms of the structures that are in memory twice while a store is filled, about 60 MB
_CHUNK_ATOMS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Part:
    """Where one field of a structure with N atoms lies in its record.

    Attributes:
        name: of the field.
        dtype: as the field table has it.
        shape: of what belongs to one atom or, if not `is_per_atom`, to the structure.
        is_per_atom: whether there is one such for every atom.
        fixed: bytes before it in the record of a structure without atoms.
        per_atom: bytes more before it for every atom.
        count: numbers in it for each atom or structure.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_per_atom: bool
    fixed: int
    per_atom: int
    count: int

    def first(self, starts: np.ndarray, num_atoms: np.ndarray) -> np.ndarray:
        """Index of the first number of each structure in the block, counted in this type."""
        behind = starts + self.fixed + self.per_atom * num_atoms
        return behind // np.dtype(self.dtype).itemsize


def _parts() -> tuple[dict[str, Part], int, int]:
    """Every part, and the bytes that all of them take: without atoms, and for every atom."""
    entries: list[tuple[str, str, tuple[int, ...], bool]] = [
        (_HEADER, "int64", (1 + len(TEXTS),), False)
    ]
    for field in FIELDS.values():
        shape = tuple(n for n in field.shape if isinstance(n, int))
        entries.append((field.name, field.dtype, shape, field.is_per_atom))
    entries.append((SPLIT, "int8", (), False))
    entries.sort(key=lambda entry: -np.dtype(entry[1]).itemsize)
    parts: dict[str, Part] = {}
    fixed = per_atom = 0
    for name, dtype, shape, is_per_atom in entries:
        part = Part(
            name=name,
            dtype=dtype,
            shape=shape,
            is_per_atom=is_per_atom,
            fixed=fixed,
            per_atom=per_atom,
            count=math.prod(shape),
        )
        parts[name] = part
        size = part.count * np.dtype(dtype).itemsize
        fixed, per_atom = (fixed, per_atom + size) if is_per_atom else (fixed + size, per_atom)
    return parts, fixed, per_atom


PARTS, FIXED_BYTES, BYTES_PER_ATOM = _parts()


def num_bytes(num_atoms: np.ndarray, text_bytes: np.ndarray | int = 0) -> np.ndarray:
    """Bytes of the record of each structure, int64, (S,).

    Args:
        num_atoms: of each structure, (S,).
        text_bytes: of its group and source together.
    """
    size = FIXED_BYTES + BYTES_PER_ATOM * num_atoms.astype(np.int64) + text_bytes
    return -(-size // ALIGNMENT) * ALIGNMENT


def pack(table: StructureTable) -> tuple[np.ndarray, np.ndarray]:
    """Records of structures, end to end.

    Returns:
        the bytes, uint8; where each record starts and the last ends, int64, (S + 1,).
    """
    num_atoms = table.num_atoms
    lengths = [np.diff(table.arrays[f"{name}_offsets"]) for name in TEXTS]
    bounds = offsets_of(num_bytes(num_atoms, np.stack(lengths).sum(axis=0)))
    block = np.zeros(bounds[-1], dtype=np.uint8)
    starts = bounds[:-1]
    arrays = {**table.arrays, _HEADER: np.stack([num_atoms, *lengths], axis=1)}
    for part in PARTS.values():
        where = places(part, starts, num_atoms)
        block.view(part.dtype)[where] = arrays[part.name].reshape(where.shape)
    for name, where in _text_places(starts, num_atoms, lengths):
        block[where] = table.arrays[name]
    return block, bounds


def gather(
    block: np.ndarray, starts: np.ndarray, num_atoms: np.ndarray, branch: str
) -> StructureTable:
    """Structures of a block as long arrays; what is asked for is copied once and nothing else.

    Args:
        block: records, uint8, with a length that is a multiple of 8.
        starts: first byte of each record wanted, int64, (S,); may repeat.
        num_atoms: of each structure wanted, int64, (S,).
        branch: of all of them.

    Raises:
        DataError: at one of the starts there is no record of a structure with so many atoms.
    """
    header = checked_header(block, starts, num_atoms, branch)
    lengths = [header[:, 1 + number] for number in range(len(TEXTS))]
    arrays = {OFFSETS: offsets_of(num_atoms)}
    for part in PARTS.values():
        if part.name != _HEADER:
            values = block.view(part.dtype)[places(part, starts, num_atoms)]
            rows = len(starts) if not part.is_per_atom else int(arrays[OFFSETS][-1])
            arrays[part.name] = values.reshape(rows, *part.shape)
    for (name, where), length in zip(
        _text_places(starts, num_atoms, lengths), lengths, strict=True
    ):
        arrays[name] = block[where]
        arrays[f"{name}_offsets"] = offsets_of(length)
    return StructureTable(branch, arrays)


def packed_chunks(shards: Shards, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Records of some structures of a folder, a bounded number of them at a time.

    Args:
        shards: open.
        rows: ascending, each once.

    Yields:
        bytes, uint8, and the size of each record in them, int64.
    """
    ends = np.cumsum(shards.num_atoms[rows])
    cuts = np.searchsorted(
        ends, np.arange(_CHUNK_ATOMS, ends[-1] if len(ends) else 0, _CHUNK_ATOMS)
    )
    for part in np.split(rows, np.unique(cuts)):
        if len(part):
            block, bounds = pack(shards.read_table(part))
            yield block, np.diff(bounds)


def checked_rows(indices: Sequence[int] | np.ndarray, size: int, branch: str) -> np.ndarray:
    """Indices as int64, (S,).

    Raises:
        IndexError: an index is outside 0..size - 1, or is no whole number.
    """
    given = np.asarray(indices).reshape(-1)
    if len(given) and given.dtype.kind not in "iu":
        raise IndexError(f"{branch}: indices are {given.dtype}, expected whole numbers")
    rows = given.astype(np.int64, copy=False)
    outside = rows[(rows < 0) | (rows >= size)]
    if len(outside):
        raise IndexError(f"{branch}: no structure {outside[0]}, there are {size}")
    return rows


def checked_header(
    block: np.ndarray, starts: np.ndarray, num_atoms: np.ndarray, branch: str
) -> np.ndarray:
    """Number of atoms and bytes of each text of records, int64, (S, 1 + texts).

    Arguments and errors are those of `gather`.
    """
    header = block.view("int64")[places(PARTS[_HEADER], starts, num_atoms)]
    wrong = np.flatnonzero(header[:, 0] != num_atoms)
    if len(wrong):
        raise DataError(
            f"{branch}: a record holds {header[wrong[0], 0]} atoms where one of "
            f"{num_atoms[wrong[0]]} belongs; the memory it came from was overwritten or freed"
        )
    return header


def places(part: Part, starts: np.ndarray, num_atoms: np.ndarray) -> np.ndarray:
    """Index of every number of a part in the block: (S, count), or (sum of N times count,)."""
    first = part.first(starts, num_atoms)
    if not part.is_per_atom:
        return first[:, None] + np.arange(part.count)
    return ragged(first, part.count * num_atoms)


def _text_places(
    starts: np.ndarray, num_atoms: np.ndarray, lengths: list[np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Index of every byte of each text."""
    first = starts + FIXED_BYTES + BYTES_PER_ATOM * num_atoms
    for name, length in zip(TEXTS, lengths, strict=True):
        yield name, ragged(first, length)
        first = first + length


def ragged(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Ranges that start at `first`, end to end."""
    bounds = offsets_of(lengths)
    return np.repeat(first - bounds[:-1], lengths) + np.arange(bounds[-1])

"""Labelled structures by the name that users give: a folder of shards, or a file that ASE reads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydracalc.inputs import as_labelled, read_atoms
from hydracalc.shards.reader import Shards, open_shards
from hydracalc.shards.table import split_index
from hydracalc.structure import AtomicStructure

ALL = "all"
_READ_AT_ONCE = 256  # structures


@dataclass(frozen=True, kw_only=True)
class LabelledData:
    """Structures with labels, some at a time in memory.

    Attributes:
        path: as given.
        is_shards: a folder of shards, else a file.
        structures: each with its place in the folder or file, read once.
    """

    path: str
    is_shards: bool
    structures: Iterable[tuple[int, AtomicStructure]]


def open_labelled(path: str, *, split: str) -> LabelledData:
    """Labelled structures of shards or of a file.

    Args:
        path: folder made by `hydracalc data prepare`, even one with parts missing, or a file.
        split: which structures of shards, "all" for all; a file has no splits.

    Raises:
        ValueError: there is no such split. Files that cannot be read raise when they are.
    """
    folder = Path(path)
    if not ((folder / "manifest.json").is_file() or any(folder.glob("shard-*.bp"))):
        return LabelledData(path=path, is_shards=False, structures=_of_file(path))
    if split != ALL:
        split_index(split)
    return LabelledData(path=path, is_shards=True, structures=_of_shards(path, split))


def members(shards: Shards, split: str) -> np.ndarray:
    """Indices of the structures of a split, ascending; "all" are all."""
    if split == ALL:
        return np.arange(len(shards))
    return np.flatnonzero(shards.splits == split_index(split))


def read(shards: Shards, indices: np.ndarray) -> Iterator[tuple[int, AtomicStructure]]:
    """Structures with their indices, some at a time in memory."""
    for start in range(0, len(indices), _READ_AT_ONCE):
        part = indices[start : start + _READ_AT_ONCE]
        yield from zip(part.tolist(), shards.read(part), strict=True)


def _of_shards(path: str, split: str) -> Iterator[tuple[int, AtomicStructure]]:
    with open_shards(path) as shards:
        yield from read(shards, members(shards, split))


def _of_file(path: str) -> Iterator[tuple[int, AtomicStructure]]:
    for index, atoms in enumerate(read_atoms(path)):
        yield index, as_labelled(atoms, source=f"{path}:{index}")

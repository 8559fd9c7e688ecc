"""Reads structures from a folder of shards, after making sure that none of it is damaged."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from hydracalc import references
from hydracalc.card import Card
from hydracalc.errors import DataError
from hydracalc.fields import FIELDS
from hydracalc.references import References
from hydracalc.shards.arrays import ArrayFile
from hydracalc.shards.manifest import Manifest, read_manifest, verify_files
from hydracalc.shards.table import (
    OFFSETS,
    PER_ATOM,
    PER_STRUCTURE,
    SPLIT,
    TEXTS,
    StructureTable,
    join,
    offsets_of,
)
from hydracalc.structure import AtomicStructure

# files kept open; each costs some descriptors
_MOST_OPEN = 16


class Shards:
    """Structures of one dataset on disk, in the order they were written.

    Attributes:
        path: the folder.
        manifest: what it says of itself.
        references: energy of each element, fitted on the training split.
        num_atoms: atoms of each structure, int64, (S,).
        splits: index into `shards.table.SPLITS` of each structure, int8, (S,).
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Read where each structure is; the files must have been verified."""
        self.path = path
        self.manifest = manifest
        self.references: References = references.from_json(manifest.references_eV)
        self._open: OrderedDict[int, ArrayFile] = OrderedDict()
        self._first = offsets_of([shard.num_structures for shard in manifest.shards])
        numbers = range(len(manifest.shards))
        self._bounds = [_bounds_of(self._file(n)) for n in numbers]
        self.num_atoms = np.concatenate([np.diff(bounds[OFFSETS]) for bounds in self._bounds])
        self.splits = np.concatenate([self._file(n).read(SPLIT, "int8") for n in numbers])
        if len(self.num_atoms) != self._first[-1] or self.num_atoms.sum() != manifest.num_atoms:
            raise DataError(
                f"{path}: holds {len(self.num_atoms)} structures with {self.num_atoms.sum()} "
                f"atoms, the manifest states {self._first[-1]} with {manifest.num_atoms}"
            )

    def __len__(self) -> int:
        return len(self.num_atoms)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file handles back; a later read opens them again."""
        while self._open:
            self._open.popitem()[1].close()

    @property
    def card(self) -> Card:
        """What is stated about the dataset."""
        return self.manifest.card

    @property
    def branch(self) -> str:
        """Identifier of the dataset."""
        return self.card.branch

    def read(self, indices: Sequence[int] | np.ndarray) -> list[AtomicStructure]:
        """Structures in the order asked for; an index may repeat.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        wanted = self._checked(indices)
        ordered, places = np.unique(wanted, return_inverse=True)
        table = self.read_table(ordered)
        found = [table.structure(i) for i in range(len(table))]
        return [found[place] for place in places]

    def read_table(self, indices: Sequence[int] | np.ndarray) -> StructureTable:
        """Structures as long arrays.

        Args:
            indices: ascending, each once; neighbors in the file are read together.

        Raises:
            IndexError: an index is outside 0..len - 1.
            ValueError: the indices do not ascend.
        """
        wanted = self._checked(indices)
        if (np.diff(wanted) <= 0).any():
            raise ValueError("indices must ascend, each once")
        of_shard = np.searchsorted(self._first, wanted, side="right") - 1
        tables = []
        for number in np.unique(of_shard) if len(wanted) else [0]:
            local = wanted[of_shard == number] - self._first[number]
            tables.append(self._read_rows(int(number), local))
        return join(tables)

    def tables(self) -> Iterator[StructureTable]:
        """Every structure, one shard in memory at a time."""
        for number, shard in enumerate(self.manifest.shards):
            yield self._read_rows(number, np.arange(shard.num_structures))

    def columns(self, number: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Some fields of all structures of one shard, and nothing else of them.

        Args:
            number: of the shard in the manifest.
            names: fields that are not per atom, or `shards.table.SPLIT`.
        """
        types = {SPLIT: "int8", **{field.name: field.dtype for field in PER_STRUCTURE}}
        return {name: self._file(number).read(name, types[name]) for name in names}

    def _checked(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        outside = wanted[(wanted < 0) | (wanted >= len(self))]
        if len(outside):
            raise IndexError(f"{self.path}: no structure {outside[0]}, there are {len(self)}")
        return wanted

    def _file(self, number: int) -> ArrayFile:
        """An open shard; the one not used for longest is closed if there are many."""
        if number not in self._open:
            self._open[number] = ArrayFile(self.path / self.manifest.shards[number].name)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(number)
        return self._open[number]

    def _read_rows(self, number: int, rows: np.ndarray) -> StructureTable:
        return _table_of(self._file(number), self.branch, self._bounds[number], rows)


def open_shards(path: Path | str) -> Shards:
    """Open a folder of shards once every file in it has been compared with the manifest.

    Args:
        path: folder that `ShardWriter` or `hydracalc data prepare` made.

    Raises:
        ValueError: there is no such folder.
        DataError: something in it is missing or damaged; the message names the file.
    """
    path = Path(path)
    manifest = read_manifest(path)
    verify_files(path, manifest)
    return Shards(path, manifest)


def read_table(path: Path, branch: str) -> StructureTable:
    """All structures of one shard that is known to be whole."""
    with ArrayFile(path) as file:
        bounds = _bounds_of(file)
        return _table_of(file, branch, bounds, np.arange(len(bounds[OFFSETS]) - 1))


def _bounds_of(file: ArrayFile) -> dict[str, np.ndarray]:
    """Where each structure of a shard starts: its atoms, its group, its source."""
    names = (OFFSETS, *(f"{name}_offsets" for name in TEXTS))
    return {name: file.read(name, "int64") for name in names}


def _table_of(
    file: ArrayFile, branch: str, bounds: dict[str, np.ndarray], rows: np.ndarray
) -> StructureTable:
    """Some structures of a shard, `rows` ascending."""
    runs = _runs(rows)
    arrays = {name: offsets_of(starts[rows + 1] - starts[rows]) for name, starts in bounds.items()}
    arrays[SPLIT] = file.read(SPLIT, "int8", runs)
    for field in PER_ATOM:
        arrays[field.name] = file.read(field.name, field.dtype, _within(bounds[OFFSETS], runs))
    for field in PER_STRUCTURE:
        arrays[field.name] = file.read(field.name, FIELDS[field.name].dtype, runs)
    for name in TEXTS:
        arrays[name] = file.read(name, "uint8", _within(bounds[f"{name}_offsets"], runs))
    return StructureTable(branch, arrays)


def _within(starts: np.ndarray, runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Atoms or bytes of ranges of structures."""
    return [(int(starts[first]), int(starts[stop])) for first, stop in runs]


def _runs(rows: np.ndarray) -> list[tuple[int, int]]:
    """First and behind-the-last of every stretch of neighboring rows."""
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    starts = rows[np.concatenate([[0], breaks])]
    stops = rows[np.concatenate([breaks - 1, [len(rows) - 1]])] + 1
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]

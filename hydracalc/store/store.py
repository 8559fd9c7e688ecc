"""What training asks for structures, and the store that keeps one split in this process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from hydracalc.card import Card
from hydracalc.references import References
from hydracalc.shards.reader import Shards, open_shards
from hydracalc.shards.table import StructureTable, split_index
from hydracalc.structure import AtomicStructure


class StructureStore(Protocol):
    """Structures of one branch and one split, by index."""

    @property
    def card(self) -> Card:
        """What is stated about the dataset."""

    @property
    def references(self) -> References:
        """Energy of each element, fitted on the training split, eV."""

    @property
    def branch(self) -> str:
        """Identifier of the dataset."""

    @property
    def num_atoms(self) -> np.ndarray:
        """Atoms of each structure, int64, (S,)."""

    def __len__(self) -> int: ...

    def fetch(self, indices: Sequence[int] | np.ndarray) -> list[AtomicStructure]:
        """Structures in the order asked for; an index may repeat."""


class LocalStore:
    """All structures of one split in the memory of this process.

    Attributes:
        card: what is stated about the dataset.
        references: energy of each element, eV.
        num_atoms: atoms of each structure, int64, (S,).
    """

    def __init__(self, table: StructureTable, *, card: Card, references: References) -> None:
        self._table = table
        self.card = card
        self.references = references
        self.num_atoms = table.num_atoms

    @property
    def branch(self) -> str:
        """Identifier of the dataset."""
        return self._table.branch

    def __len__(self) -> int:
        return len(self._table)

    def fetch(self, indices: Sequence[int] | np.ndarray) -> list[AtomicStructure]:
        """Structures in the order asked for; their arrays are read-only views, nothing is copied.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        for index in indices:
            if not 0 <= index < len(self):
                raise IndexError(f"{self.branch}: no structure {index}, there are {len(self)}")
        return [self._table.structure(index) for index in indices]


def open_store(shards: Shards | Path | str, split: str) -> LocalStore:
    """Read one split of a folder of shards into memory.

    Args:
        shards: open shards, or the folder.
        split: "train", "val" or "test"; a small dataset may have none in it, the store is empty.

    Raises:
        ValueError: the split is unknown, or there is no such folder.
        DataError: the shards are damaged.
    """
    wanted = split_index(split)
    if not isinstance(shards, Shards):
        with open_shards(shards) as opened:
            return open_store(opened, split)
    table = shards.read_table(np.flatnonzero(shards.splits == wanted))
    return LocalStore(table, card=shards.card, references=shards.references)

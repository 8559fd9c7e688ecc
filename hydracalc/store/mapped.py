"""A store that reads from the shards when asked: for structures that memory has no room for."""

import threading
from collections.abc import Sequence

import numpy as np

from hydracalc.shards.reader import Shards
from hydracalc.shards.table import StructureTable
from hydracalc.store.assembly import structures_of, table_rows
from hydracalc.store.records import checked_rows
from hydracalc.store.traffic import Traffic
from hydracalc.structure import AtomicStructure


class MappedStore:
    """Structures of one split, on disk.

    Attributes:
        card: what is stated about the dataset.
        references: energy of each element, eV.
        branch: identifier of the dataset.
        num_atoms: atoms of each structure, int64, (S,).
        num_bytes: in memory, 0.
        traffic: bytes asked for and moved so far.
    """

    kind = "mapped"
    num_bytes = 0

    def __init__(self, shards: Shards, rows: np.ndarray) -> None:
        """Open the verified files once more, so that the caller may close its own.

        Args:
            shards: verified.
            rows: structures of the split, ascending, int64.
        """
        self._shards = Shards(shards.path, shards.manifest)
        self._rows = rows
        self._lock = threading.Lock()  # the cache of open files knows no threads
        self.card = shards.card
        self.references = shards.references
        self.branch = shards.branch
        self.num_atoms = shards.num_atoms[rows]
        self.traffic = Traffic()

    def __len__(self) -> int:
        return len(self._rows)

    def fetch(self, indices: Sequence[int] | np.ndarray) -> list[AtomicStructure]:
        """Structures in the order asked for; their arrays are read-only.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        table, places = self._read(indices)
        return structures_of(table, places)

    def fetch_table(self, indices: Sequence[int] | np.ndarray) -> StructureTable:
        """The same as long arrays.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        table, places = self._read(indices)
        return table_rows(table, places)

    def _read(self, indices: Sequence[int] | np.ndarray) -> tuple[StructureTable, np.ndarray]:
        """A table with each structure once, and the row of each index in it."""
        rows = checked_rows(indices, len(self), self.branch)
        wanted, places = np.unique(rows, return_inverse=True)
        with self._lock:
            table = self._shards.read_table(self._rows[wanted])
            num_bytes = sum(array.nbytes for array in table.arrays.values())
            self.traffic.structures += len(rows)
            self.traffic.fetched_bytes += num_bytes
            self.traffic.copied_bytes += num_bytes
        return table, places

    def close(self) -> None:
        """Give the file handles back."""
        self._shards.close()

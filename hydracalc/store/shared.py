"""A store with one copy on each machine, which its processes read without asking anybody."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hydracalc.card import Card
from hydracalc.references import References
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import StructureTable, offsets_of
from hydracalc.store.assembly import structures_at
from hydracalc.store.filling import read_share, together
from hydracalc.store.places import Place
from hydracalc.store.records import checked_rows, gather
from hydracalc.store.spill import open_spill
from hydracalc.store.traffic import Traffic
from hydracalc.structure import AtomicStructure


class SharedStore:
    """Structures of one split in bytes that all processes of a machine see.

    What is fetched is copied once, so that it stays whole when the store is closed.

    Attributes:
        kind: "shared", or "mapped" if the bytes are a file's.
        card: what is stated about the dataset.
        references: energy of each element, eV.
        branch: identifier of the dataset.
        num_atoms: atoms of each structure, int64, (S,).
        num_bytes: of the records, once for the whole machine.
        traffic: bytes asked for and moved so far.
    """

    def __init__(self, kind: str, shards: Shards, rows: np.ndarray) -> None:
        """Nothing is read yet; `shared_by_mpi` and `shared_by_file` open stores."""
        self.kind = kind
        self.card: Card = shards.card
        self.references: References = shards.references
        self.branch = shards.branch
        self.num_atoms = shards.num_atoms[rows]
        self.traffic = Traffic()
        self._free: Callable[[], None] | None = None

    def hold(self, block: np.ndarray, sizes: np.ndarray, free: Callable[[], None]) -> None:
        """Take the records.

        Args:
            block: all of them, uint8.
            sizes: of each, int64, (S,).
            free: called by `close`.
        """
        self._block = block
        self._bounds = offsets_of(sizes)
        self._free = free
        self.num_bytes = int(self._bounds[-1])

    def __len__(self) -> int:
        return len(self.num_atoms)

    def fetch(self, indices: Sequence[int] | np.ndarray) -> list[AtomicStructure]:
        """Structures in the order asked for; their arrays are read-only.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        rows, starts = self._asked(indices)
        self.traffic.copied_bytes += int((self._bounds[rows + 1] - starts).sum())
        return structures_at(self._block, starts, self.num_atoms[rows], self.branch, copies=True)

    def fetch_table(self, indices: Sequence[int] | np.ndarray) -> StructureTable:
        """The same as long arrays.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        rows, starts = self._asked(indices)
        table = gather(self._block, starts, self.num_atoms[rows], self.branch)
        self.traffic.copied_bytes += sum(array.nbytes for array in table.arrays.values())
        return table

    def _asked(self, indices: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows that are asked for, and where their records start."""
        rows = checked_rows(indices, len(self), self.branch)
        starts = self._bounds[rows]
        self.traffic.structures += len(rows)
        self.traffic.fetched_bytes += int((self._bounds[rows + 1] - starts).sum())
        return rows, starts

    def close(self) -> None:
        """Give the memory back. Collective over the processes of the machine."""
        self._block = np.empty(0, dtype=np.uint8)
        if self._free is not None:
            self._free()
            self._free = None


def shared_by_file(
    kind: str,
    shards: Shards,
    rows: np.ndarray,
    *,
    place: Place,
    folder: Path,
    timeout_s: float,
) -> SharedStore:
    """A store in a file which the machine's first process writes and all map. Collective.

    Args:
        kind: what the store calls itself.
        shards: open; may be closed afterwards.
        rows: structures of the split, ascending, int64.
        place: which of the machine's processes this is.
        folder: for the file.
        timeout_s: how long to wait for a process that does nothing.

    Raises:
        DataError: the shards are damaged, or the file could not be written.
    """
    store = SharedStore(kind, shards, rows)

    def map_file() -> None:
        spill = open_spill(place, shards, rows, folder=folder, timeout_s=timeout_s)
        store.hold(spill.block, spill.sizes, lambda: None)

    together(place, map_file)
    return store


def shared_by_mpi(
    shards: Shards, rows: np.ndarray, *, place: Place, timeout_s: float
) -> SharedStore:
    """A store in memory that MPI shares on each machine. Collective over the place's ranks.

    The processes of a machine read and fill one part each.

    Args:
        shards: open; may be closed afterwards.
        rows: structures of the split, ascending, int64.
        place: with a communicator.
        timeout_s: a wait for another rank that takes longer ends the job.

    Raises:
        ValueError: the machine has not so much shared memory.
        DataError: the shards are damaged, on this rank or another.
    """
    from hydracalc.store.windows import Exchange, check_shared_memory

    store = SharedStore("shared", shards, rows)
    exchange = Exchange(place, color=None, timeout_s=timeout_s)
    share = read_share(shards, rows, place=place, exchange=exchange)
    firsts = offsets_of([int(part.sum()) for part in share.sizes])
    num_bytes = int(firsts[-1])
    try:
        together(place, lambda: check_shared_memory(num_bytes))
    except ValueError:
        exchange.free()
        raise
    memory = exchange.node_memory(num_bytes)
    share.move(memory.block[firsts[exchange.rank] :])
    memory.publish()

    def free() -> None:
        memory.free()
        exchange.free()

    store.hold(memory.block, np.concatenate(share.sizes), free)
    return store

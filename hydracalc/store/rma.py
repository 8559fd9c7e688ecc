"""A store whose structures are spread over ranks, which read each other's memory.

After the idea of DDStore [arXiv:2406.12909, section on data]: `width` ranks hold one copy, every
rank knows where each structure is, and reads are one-sided.
"""

import threading
from collections.abc import Sequence

import numpy as np

from hydracalc.card import Card
from hydracalc.references import References
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import StructureTable, offsets_of
from hydracalc.store.assembly import structures_at
from hydracalc.store.filling import read_share
from hydracalc.store.places import Place
from hydracalc.store.records import checked_rows, gather
from hydracalc.store.traffic import Traffic
from hydracalc.store.windows import Exchange, Window
from hydracalc.structure import AtomicStructure


class RmaStore:
    """Structures of one split in the memory of several ranks. Opening and closing are collective.

    Attributes:
        card: what is stated about the dataset.
        references: energy of each element, eV.
        branch: identifier of the dataset.
        num_atoms: atoms of each structure, int64, (S,).
        width: ranks of the group that this rank belongs to; they hold one copy.
        num_bytes: of the records in this rank's memory.
        traffic: bytes asked for and moved so far.
    """

    kind = "rma"

    def __init__(
        self, shards: Shards, rows: np.ndarray, *, place: Place, width: int, timeout_s: float
    ) -> None:
        """Read this rank's share and show it to its group. Collective over the place's ranks.

        Args:
            shards: open; may be closed afterwards.
            rows: structures of the split, ascending, int64.
            place: with a communicator.
            width: ranks of a group, at least; 0 is all. Ranks that are left over join the groups.
            timeout_s: a wait for another rank that takes longer ends the job.

        Raises:
            ValueError: the width is not in 0..number of ranks.
            DataError: the shards are damaged, on this rank or another.
        """
        groups = num_groups(place.size, width)
        self.card: Card = shards.card
        self.references: References = shards.references
        self.branch = shards.branch
        self.num_atoms = shards.num_atoms[rows]
        self.traffic = Traffic()
        self._lock = threading.Lock()
        self._exchange = Exchange(
            place, color=place.rank * groups // place.size, timeout_s=timeout_s
        )
        self.width = self._exchange.size
        share = read_share(shards, rows, place=place, exchange=self._exchange)
        # where records start in their owner's memory, and whose are which
        self._starts = np.concatenate([offsets_of(part)[:-1] for part in share.sizes])
        self._sizes = np.concatenate(share.sizes)
        self._first = offsets_of([len(part) for part in share.sizes])
        self.num_bytes = int(share.sizes[self._exchange.rank].sum())
        self._window: Window = self._exchange.window(self.num_bytes)
        share.move(self._window.block)
        self._window.publish()

    def __len__(self) -> int:
        return len(self.num_atoms)

    def fetch(self, indices: Sequence[int] | np.ndarray) -> list[AtomicStructure]:
        """Structures in the order asked for; their arrays are read-only views of what was read.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        rows = checked_rows(indices, len(self), self.branch)
        buffer, starts = self._read(rows)
        return structures_at(buffer, starts, self.num_atoms[rows], self.branch, copies=False)

    def fetch_table(self, indices: Sequence[int] | np.ndarray) -> StructureTable:
        """The same as long arrays, which takes one more copy.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        rows = checked_rows(indices, len(self), self.branch)
        buffer, starts = self._read(rows)
        table = gather(buffer, starts, self.num_atoms[rows], self.branch)
        self.traffic.copied_bytes += sum(array.nbytes for array in table.arrays.values())
        return table

    def _read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Records of structures, each read once, and where that of each row starts."""
        wanted, places = np.unique(rows, return_inverse=True)
        sizes = self._sizes[wanted]
        bounds = offsets_of(sizes)
        buffer = np.empty(bounds[-1], dtype=np.uint8)
        owners = np.searchsorted(self._first, wanted, side="right") - 1
        with self._lock:
            self._read_ranges(wanted, owners, bounds, buffer)
            self.traffic.structures += len(rows)
            self.traffic.fetched_bytes += int(self._sizes[rows].sum())
            self.traffic.copied_bytes += len(buffer)
            self.traffic.remote_bytes += int(sizes[owners != self._exchange.rank].sum())
        return buffer, bounds[places]

    def _read_ranges(
        self, wanted: np.ndarray, owners: np.ndarray, bounds: np.ndarray, buffer: np.ndarray
    ) -> None:
        """Read records; neighbors in one rank's memory are one range."""
        breaks = (np.diff(wanted) != 1) | (np.diff(owners) != 0)
        if not len(wanted):
            return
        cuts = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(wanted)]])
        firsts = cuts[:-1]
        ranges: dict[int, list[tuple[int, int, int]]] = {}
        there, here = self._starts[wanted[firsts]].tolist(), bounds[firsts].tolist()
        sizes = np.diff(bounds[cuts]).tolist()
        for owner, *piece in zip(owners[firsts].tolist(), there, here, sizes, strict=True):
            ranges.setdefault(owner, []).append((piece[0], piece[1], piece[2]))
        own = self._exchange.rank
        for first, start, size in ranges.pop(own, []):
            buffer[start : start + size] = self._window.block[first : first + size]
        view = buffer.data
        # every rank begins with the one after it, so that not all ask the same one
        others = sorted(ranges, key=lambda owner: (owner - own) % self._exchange.size)
        names = ", ".join(self._exchange.name_of(owner) for owner in others)
        with self._exchange.waiting(f"structures of {self.branch} from {names}"):
            for owner in others:
                self._window.get(owner, ranges[owner], view)
            for owner in others:
                self._window.finish(owner)

    def close(self) -> None:
        """Give the memory back. Collective over the ranks that opened it together."""
        self._window.free()
        self._exchange.free()


def num_groups(size: int, width: int) -> int:
    """How many groups of at least `width` ranks there are; each holds all structures.

    Raises:
        ValueError: the width is not in 0..number of ranks; 0 stands for all of them.
    """
    if not 0 <= width <= size:
        raise ValueError(
            f"store width is {width}, but {size} ranks share the structures; expected 1 to {size}, "
            "or 0 for all"
        )
    return size // (width or size)

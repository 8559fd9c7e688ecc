"""Neighbor lists of structures that come again and again, kept as long as memory allows."""

import numpy as np

from hydracalc.graphs.neighbors import Edges, neighbor_list

# of a list beside its numbers: the objects that hold them
_OVERHEAD_BYTES = 700


class NeighborCache:
    """Finds neighbor lists and keeps them up to a number of bytes; the rest are found anew.

    What is kept stays: structures are drawn at random, so none is worth more than another.

    Args:
        cutoff: Angstrom.
        max_bytes: to keep.

    Attributes:
        num_bytes: kept so far.
    """

    def __init__(self, cutoff: float, max_bytes: float) -> None:
        self.cutoff = cutoff
        self.num_bytes = 0
        self._max_bytes = max_bytes
        self._kept: dict[int, Edges] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def edges(self, number: int, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> Edges:
        """Neighbor list of one structure; its integers may be of any size.

        Args:
            number: of the structure; the rest follows from it and is looked at once.
            positions: Angstrom, (N, 3).
            cell: lattice vectors as rows, Angstrom, (3, 3).
            pbc: periodic directions, bool, (3,).

        Raises:
            ValueError: there is no neighbor list.
        """
        found = self._kept.get(number)
        if found is None:
            found = _compact(neighbor_list(positions, cell, pbc, self.cutoff))
            arrays = (found.senders, found.receivers, found.cell_shifts)
            needed = _OVERHEAD_BYTES + sum(array.nbytes for array in arrays)
            if self.num_bytes + needed <= self._max_bytes:
                self._kept[number] = found
                self.num_bytes += needed
        return found


def _compact(edges: Edges) -> Edges:
    """The same list in half the memory: int32 atoms, int8 images where they fit."""
    reach = int(np.abs(edges.cell_shifts).max(initial=0))
    return Edges(
        senders=edges.senders.astype(np.int32),
        receivers=edges.receivers.astype(np.int32),
        cell_shifts=edges.cell_shifts.astype(np.int8 if reach < 128 else np.int32),
    )

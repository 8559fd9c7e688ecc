"""Ranks read a part of the structures each, to put them into memory that they share."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hydracalc.shards.reader import Shards
from hydracalc.store.places import Place, share_of
from hydracalc.store.records import packed_chunks

if TYPE_CHECKING:  # needs MPI, which need not be there
    from hydracalc.store.windows import Exchange


class Share:
    """Records of this rank's part of the structures, read but not yet in their place.

    Attributes:
        sizes: of the records of every rank, int64, one array a rank.
    """

    def __init__(self, chunks: list[np.ndarray], sizes: list[np.ndarray]) -> None:
        self._chunks = chunks
        self.sizes = sizes

    def move(self, block: np.ndarray) -> None:
        """Copy the records to the begin of a block, giving back their memory piece by piece."""
        filled = 0
        while self._chunks:
            part = self._chunks.pop(0)
            block[filled : filled + len(part)] = part
            filled += len(part)


def read_share(shards: Shards, rows: np.ndarray, *, place: Place, exchange: "Exchange") -> Share:
    """Read this rank's part. Collective over the place's ranks.

    Args:
        shards: open.
        rows: structures of the split, ascending, int64.
        place: this process among all ranks.
        exchange: those of them that hold one copy together; freed if reading fails.

    Raises:
        DataError: the shards are damaged, on this rank or another.
    """
    own = share_of(shards.num_atoms[rows], exchange.rank, exchange.size)
    chunks: list[np.ndarray] = []
    sizes = [np.empty(0, dtype=np.int64)]

    def read() -> None:
        for block, part in packed_chunks(shards, rows[own]):
            chunks.append(block)
            sizes.append(part)

    try:
        with exchange.waiting("the other ranks to read their share of the structures"):
            together(place, read)
    except Exception:
        exchange.free()
        raise
    return Share(chunks, exchange.join(np.concatenate(sizes)))


def together(place: Place, work: Callable[[], None]) -> None:
    """Do something on every rank; a failure of one is raised on all. Collective.

    Raises:
        Exception: this rank's failure.
        DataError: another rank's failure, which the message names.
    """
    failure = None
    try:
        work()
    except Exception as error:  # noqa: BLE001  # the other ranks must hear of it
        failure = error
    place.agree(failure)

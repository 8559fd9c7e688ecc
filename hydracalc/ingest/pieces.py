"""A piece of a dataset: read, screened and written as shards by one process.

Pieces follow from the raw files alone, so shards do not depend on how many processes there are.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from hydracalc import elements
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.catalog import load_adapter
from hydracalc.ingest.piece_records import (
    PieceSummary,
    ShardRows,
    origin_of,
    remove_piece,
    write_rows,
    write_summary,
)
from hydracalc.ingest.screening import KEPT, REASONS, Screen, ScreenConfig, fingerprints
from hydracalc.ingest.splitting import SplitConfig, first_sides, group_hash, no_group
from hydracalc.readers.parts import Part
from hydracalc.shards.folder import write_shard
from hydracalc.shards.manifest import StoredShard
from hydracalc.shards.table import StructureTable, join

# in memory until a shard is written; with copies on the way, some five times as much
_SHARD_BYTES = 32 * 2**20
# structures whose copies are found at once; the others are found when pieces are put together
_REMEMBERED = 100_000


@dataclass(frozen=True, kw_only=True)
class PieceTask:
    """All that a process needs to know.

    Attributes:
        number: of the piece.
        parts: what it reads.
        adapter: the adapter, or its folder where another process has to load it.
        folder: where shards and records are written.
        screen: what is left out.
        split: how sides are dealt.
        limit: read only so many structures; None reads all.
    """

    number: int
    parts: tuple[Part, ...]
    adapter: Adapter | Path
    folder: Path
    screen: ScreenConfig
    split: SplitConfig
    limit: int | None = None


def make_pieces(parts: Sequence[Part], piece_bytes: int) -> list[tuple[Part, ...]]:
    """Neighboring parts put together until they are large enough to be worth a shard.

    Args:
        parts: of the raw data, in order.
        piece_bytes: of raw data in each piece, about; one part is never divided.
    """
    sizes: list[float] = []
    for path, of_file in groupby(parts, lambda part: part.path):
        count = len(list(of_file))
        sizes += [path.stat().st_size / count] * count
    pieces: list[list[Part]] = []
    filled = float(piece_bytes)
    for part, size in zip(parts, sizes, strict=True):
        if filled >= piece_bytes:
            pieces.append([])
            filled = 0.0
        pieces[-1].append(part)
        filled += size
    return [tuple(piece) for piece in pieces]


def read_piece(task: PieceTask, progress: Callable[[int], None] | None = None) -> int:
    """Read a piece and write its shards and records; returns how many structures were read.

    Args:
        task: what to do.
        progress: called now and then with how many structures were read.

    Raises:
        ValueError: a structure has no group.
        DataError: the raw data is damaged.
    """
    adapter = load_adapter(task.adapter) if isinstance(task.adapter, Path) else task.adapter
    adapter.dropped.clear()
    remove_piece(task.folder, task.number)
    collector = _Collector(task)
    for table in _tables(adapter, task):
        collector.take(table)
        if progress is not None:
            progress(collector.num_read)
    summary = collector.finish(adapter.dropped)
    write_summary(task.folder, task.number, summary)
    return summary.num_read


def _tables(adapter: Adapter, task: PieceTask) -> Iterator[StructureTable]:
    """Structures of all parts, up to the limit."""
    left = task.limit
    for part in task.parts:
        for table in adapter.tables(part):
            if left is not None and len(table) >= left:
                yield table.rows(np.arange(len(table)) < left)
                return
            left = None if left is None else left - len(table)
            yield table


class _Collector:
    """Screens tables, writes what stays, and its rows beside it."""

    def __init__(self, task: PieceTask) -> None:
        self._task = task
        self._screen = Screen(task.screen, remember=_REMEMBERED)
        self._waiting: list[StructureTable] = []
        self._rows: list[dict[str, np.ndarray]] = []
        self._bytes = 0
        self._compositions: dict[bytes, int] = {}
        self._shards: list[StoredShard] = []
        self._dropped: Counter[str] = Counter()
        self.num_read = 0

    def take(self, table: StructureTable) -> None:
        """Screen a table and keep what passes."""
        self.num_read += len(table)
        marks = fingerprints(table)
        reasons = self._screen.judge(table, marks)
        keep = reasons == KEPT
        for reason, count in zip(*np.unique(reasons[~keep], return_counts=True), strict=True):
            self._dropped[REASONS[reason]] += int(count)
        if not keep.any():
            return
        kept, split = table.rows(keep), self._task.split
        groups = _group_hashes(kept, split.seed)
        self._rows.append(
            {
                "marks": marks[keep],
                "energies": kept.arrays["energy"],
                "groups": groups,
                "splits": kept.splits,
                "composition_index": self._number_compositions(kept),
            }
        )
        self._waiting.append(kept.with_splits(first_sides(kept.splits, groups, split)))
        self._bytes += sum(array.nbytes for array in kept.arrays.values())
        if self._bytes >= _SHARD_BYTES:
            self._roll()

    def _number_compositions(self, table: StructureTable) -> np.ndarray:
        """Which of the shard's compositions each structure has, int32, (S,)."""
        owners = np.repeat(np.arange(len(table)), table.num_atoms)
        places = owners * elements.NUM_ELEMENTS + table.arrays["atomic_numbers"]
        counts = np.bincount(places, minlength=len(table) * elements.NUM_ELEMENTS)
        counts = counts.reshape(len(table), -1).astype(np.int32)
        known = self._compositions
        numbers = [known.setdefault(row.tobytes(), len(known)) for row in counts]
        return np.array(numbers, dtype=np.int32)

    def _roll(self) -> None:
        """Write what is in memory as one shard."""
        name = f"shard-{self._task.number:05d}-{len(self._shards):05d}.bp"
        compositions = np.frombuffer(b"".join(self._compositions), dtype=np.int32)
        columns = {key: np.concatenate([rows[key] for rows in self._rows]) for key in self._rows[0]}
        rows = ShardRows(compositions=compositions.reshape(-1, elements.NUM_ELEMENTS), **columns)
        write_rows(self._task.folder, name, rows)
        table = join(self._waiting)
        self._waiting, self._rows, self._compositions, self._bytes = [], [], {}, 0
        self._shards.append(write_shard(self._task.folder, name, table))

    def finish(self, dropped: Counter[str]) -> PieceSummary:
        """Write what is left; what the adapter left out is counted with the rest."""
        if self._waiting:
            self._roll()
        return PieceSummary(
            origin=origin_of(self._task.parts),
            num_read=self.num_read,
            dropped={reason: n for reason, n in sorted((self._dropped + dropped).items()) if n},
            shards=tuple(self._shards),
        )


def _group_hashes(table: StructureTable, seed: int) -> np.ndarray:
    """Hash of each structure's group, uint64, (S,).

    Raises:
        ValueError: a structure has no group.
    """
    starts = table.arrays["group_offsets"]
    empty = np.flatnonzero(np.diff(starts) == 0)
    if len(empty):
        raise ValueError(no_group(table.text("source", int(empty[0])) or "(unnamed)"))
    text, bounds = table.arrays["group"].tobytes(), starts.tolist()
    names = [text[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    hashes = {name: group_hash(name.decode(), seed) for name in dict.fromkeys(names)}
    return np.array([hashes[name] for name in names], dtype=np.uint64)

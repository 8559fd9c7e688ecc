"""What pieces of a dataset have to know of each other: copies, sides of groups, references."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hydracalc import references
from hydracalc.errors import DataError
from hydracalc.ingest.joining import join_groups
from hydracalc.ingest.piece_records import PieceSummary, read_column
from hydracalc.ingest.screening import DUPLICATE, RELABELLED
from hydracalc.ingest.splitting import SplitConfig, deal, divided, first_sides
from hydracalc.references import References
from hydracalc.shards.folder import amend_shard
from hydracalc.shards.manifest import StoredShard
from hydracalc.shards.reader import read_table
from hydracalc.shards.table import SPLITS
from hydracalc.shards.writer import NO_REFERENCE
from hydracalc.structure import AtomicStructure

_SORTED = 500_000  # hashes sorted at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Amendment:
    """What becomes of one shard.

    Attributes:
        shard: as the piece wrote it.
        keep: which structures stay, bool, (S,).
        splits: side of each, index into SPLITS, int8, (S,).
        is_needed: whether that is not what the piece wrote.
    """

    shard: StoredShard
    keep: np.ndarray
    splits: np.ndarray
    is_needed: bool


@dataclass(frozen=True, kw_only=True)
class MergePlan:
    """What becomes of all pieces together.

    Attributes:
        amendments: of every shard, in order.
        num_structures: kept, by split.
        dropped: left out, by reason; by adapter, screen and merge.
        references: energy of each element, eV; None where no structure trains.
    """

    amendments: tuple[Amendment, ...]
    num_structures: dict[str, int]
    dropped: dict[str, int]
    references: References | None


def plan_merge(
    folder: Path,
    branch: str,
    summaries: Sequence[PieceSummary],
    config: SplitConfig,
    *,
    duplicates: bool,
) -> MergePlan:
    """Decide on every structure of every piece; the pieces are not changed.

    Of a structure, 17 bytes are in memory.

    Args:
        folder: with the shards of the pieces.
        branch: of the dataset.
        summaries: of all pieces, in order.
        config: of the split.
        duplicates: whether only the first of equal structures is kept.

    Raises:
        DataError: published splits put a group on two sides.
    """
    dropped: Counter[str] = Counter()
    for summary in summaries:
        dropped.update(summary.dropped)
    shards = _Shards(folder, branch, [s for summary in summaries for s in summary.shards])
    keep = _drop_copies(shards, dropped) if duplicates else np.ones(shards.total, dtype=bool)
    amendments = _put_on_sides(shards, keep, config)
    fitted = _fit(shards, amendments)
    if fitted is not None:
        amendments = _drop_unknown(shards, amendments, fitted, dropped)
    counts = sum(
        (np.bincount(a.splits[a.keep], minlength=len(SPLITS)) for a in amendments),
        start=np.zeros(len(SPLITS), dtype=int),
    )
    return MergePlan(
        amendments=tuple(amendments),
        num_structures={name: int(counts[i]) for i, name in enumerate(SPLITS)},
        dropped={reason: n for reason, n in sorted(dropped.items()) if n},
        references=fitted,
    )


class _Shards:
    """The shards of all pieces and where the structures of each begin."""

    def __init__(self, folder: Path, branch: str, shards: list[StoredShard]) -> None:
        self.folder = folder
        self.branch = branch
        self.shards = shards
        self.starts = np.cumsum([0, *(shard.num_structures for shard in shards)]).tolist()
        self.total: int = self.starts[-1]

    def column(self, number: int, name: str) -> np.ndarray:
        """One array of a shard's rows."""
        return read_column(self.folder, self.shards[number].name, name)

    def columns(self, name: str, dtype: str) -> np.ndarray:
        """One array of all shards, end to end."""
        values = np.empty(self.total, dtype=dtype)
        for number in range(len(self.shards)):
            values[self.rows(number)] = self.column(number, name)
        return values

    def rows(self, number: int) -> slice:
        """Place of a shard's structures among all."""
        return slice(self.starts[number], self.starts[number + 1])


def _drop_copies(shards: _Shards, dropped: Counter[str]) -> np.ndarray:
    """Which structures are no copy of an earlier one, bool, (S,)."""
    keep = np.ones(shards.total, dtype=bool)
    copies, originals = _copies(shards.columns("marks", "u8"))
    if len(copies):
        energies = shards.columns("energies", "f8")
        same = energies[copies] == energies[originals]
        dropped[DUPLICATE] += int(same.sum())
        dropped[RELABELLED] += int((~same).sum())
        keep[copies] = False
    return keep


def _copies(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of structures that repeat an earlier one, and the places of those."""
    copies, originals = [np.empty(0, dtype=int)], [np.empty(0, dtype=int)]
    bits = max(0, math.ceil(math.log2(max(1, len(marks)) / _SORTED)))
    for number in range(2**bits):  # by the leading bits: sorting all at once takes much memory
        places = np.flatnonzero(marks >> np.uint64(64 - bits) == number) if bits else slice(None)
        chosen = marks[places]
        order = np.argsort(chosen, kind="stable")
        ordered = chosen[order]
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = ordered[1:] != ordered[:-1]
        firsts, repeats = np.flatnonzero(is_first), np.flatnonzero(~is_first)
        before = firsts[np.searchsorted(firsts, repeats) - 1] if len(repeats) else repeats
        where = order if isinstance(places, slice) else places[order]
        copies.append(where[repeats])
        originals.append(where[before])
    return np.concatenate(copies), np.concatenate(originals)


def _put_on_sides(shards: _Shards, keep: np.ndarray, config: SplitConfig) -> list[Amendment]:
    """Sides of all structures: where the dataset publishes its group, else where it is dealt."""
    published = _published_sides(shards)
    joined = _joined(shards, keep, config)
    amendments = []
    for number, shard in enumerate(shards.shards):
        groups, stated = shards.column(number, "groups"), shards.column(number, "splits")
        written = first_sides(stated, groups, config)
        sides = written.copy()
        if published or joined:
            names, members = np.unique(groups, return_inverse=True)
            leaders = np.array([joined.get(n, n) for n in names.tolist()], dtype=np.uint64)
            known = np.array([published.get(n, -1) for n in names.tolist()])
            sides = np.where(known >= 0, known, deal(leaders, config)).astype(np.int8)[members]
        kept = keep[shards.rows(number)]
        changed = bool((sides != written).any() or not kept.all())
        amendments.append(Amendment(shard=shard, keep=kept, splits=sides, is_needed=changed))
    return amendments


def _joined(shards: _Shards, keep: np.ndarray, config: SplitConfig) -> dict[int, int]:
    """The group whose side each group takes, of those that go together with others."""
    if config.join_near == 0:
        return {}

    def structures() -> Iterator[tuple[AtomicStructure, int]]:
        for number, shard in enumerate(shards.shards):
            table = read_table(shards.folder / shard.name, shards.branch)
            groups, kept = shards.column(number, "groups").tolist(), keep[shards.rows(number)]
            for index in np.flatnonzero(kept).tolist():
                yield table.structure(index), groups[index]

    return join_groups(structures(), rattle=config.join_near, seed=config.seed)


def _published_sides(shards: _Shards) -> dict[int, int]:
    """Side of each group that has a published one.

    Raises:
        DataError: a group has two.
    """
    sides: dict[int, int] = {}
    for number in range(len(shards.shards)):
        stated = shards.column(number, "splits")
        if (stated < 0).all():
            continue
        groups = shards.column(number, "groups")
        for row in np.flatnonzero(stated >= 0).tolist():
            side = int(stated[row])
            if sides.setdefault(int(groups[row]), side) != side:
                other = SPLITS[sides[int(groups[row])]]
                raise DataError(_conflict(shards, number, row, side, other))
    return sides


def _conflict(shards: _Shards, number: int, row: int, side: int, other: str) -> str:
    table = read_table(shards.folder / shards.shards[number].name, shards.branch)
    name, group = (table.text(text, row) for text in ("source", "group"))
    return divided(name, SPLITS[side], group, other)


def _fit(shards: _Shards, amendments: Sequence[Amendment]) -> References | None:
    """References of the training structures; None where there is none.

    Sums are taken shard by shard in their order, so they are the same for any number of processes.
    """
    totals: dict[bytes, list[float]] = {}
    for number, amendment in enumerate(amendments):
        trains = amendment.keep & (amendment.splits == SPLITS.index("train"))
        index = shards.column(number, "composition_index")[trains]
        energies = shards.column(number, "energies")[trains]
        compositions = shards.column(number, "compositions")
        counts = np.bincount(index, minlength=len(compositions))
        sums = np.bincount(index, weights=energies, minlength=len(compositions))
        for row in np.flatnonzero(counts):
            total = totals.setdefault(compositions[row].tobytes(), [0.0, 0.0])
            total[0] += counts[row]
            total[1] += sums[row]
    if not totals:
        return None
    table = np.array(list(totals.values()))
    counts, sums = table[:, 0], table[:, 1]
    compositions = np.frombuffer(b"".join(totals), dtype=np.int32).reshape(len(totals), -1)
    return references.fit(compositions, sums / counts, counts=counts)


def _drop_unknown(
    shards: _Shards, amendments: Sequence[Amendment], fitted: References, dropped: Counter[str]
) -> list[Amendment]:
    """Leave out structures with an element that no training structure told about."""
    result = []
    for number, amendment in enumerate(amendments):
        strange = (shards.column(number, "compositions")[:, ~fitted.supported] > 0).any(axis=1)
        if not strange.any():
            result.append(amendment)
            continue
        index = shards.column(number, "composition_index")
        unknown = np.take(strange, index) & amendment.keep
        dropped[NO_REFERENCE] += int(unknown.sum())
        keep = amendment.keep & ~unknown
        result.append(replace(amendment, keep=keep, is_needed=True))
    return result


def amend(folder: Path, branch: str, amendment: Amendment) -> StoredShard | None:
    """Rewrite a shard as decided where that is needed; None if nothing of it is left."""
    if not amendment.is_needed:
        return amendment.shard
    table = read_table(folder / amendment.shard.name, branch)
    return amend_shard(folder, amendment.shard, table, keep=amendment.keep, splits=amendment.splits)

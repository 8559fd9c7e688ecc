"""Structures that a run draws from, wherever they are kept, and graphs of any of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from hydracalc.errors import unknown
from hydracalc.fields import FIELDS
from hydracalc.graphs.collate import graph_of
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.neighbor_cache import NeighborCache
from hydracalc.graphs.neighbors import Edges
from hydracalc.shards.table import StructureTable, offsets_of
from hydracalc.store.assembly import table_rows
from hydracalc.store.filling import together
from hydracalc.store.places import Place, share_of
from hydracalc.store.records import ragged

# structures that are in memory at once while edges are counted
_CHUNK = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Census:
    """What is known of every structure of a run on every rank.

    Attributes:
        branch_index: branch of each, (S,).
        num_atoms: atoms of each, (S,).
        num_edges: edges of each, (S,).
    """

    branch_index: np.ndarray
    num_atoms: np.ndarray
    num_edges: np.ndarray

    def __len__(self) -> int:
        return len(self.branch_index)


class Source(Protocol):
    """Structures of one branch by index: a store."""

    @property
    def branch(self) -> str:
        """Identifier of the dataset."""

    @property
    def num_atoms(self) -> np.ndarray:
        """Atoms of each structure, int64, (S,)."""

    def fetch_table(self, indices: np.ndarray) -> StructureTable:
        """Structures in the order asked for."""


class InMemory:
    """A table as a source.

    Attributes:
        branch: identifier of the dataset.
        num_atoms: atoms of each structure, int64, (S,).
    """

    def __init__(self, table: StructureTable) -> None:
        self._table = table
        self.branch = table.branch
        self.num_atoms = table.num_atoms

    def fetch_table(self, indices: np.ndarray) -> StructureTable:
        """Structures in the order asked for."""
        return table_rows(self._table, indices)


class StructureSet:
    """Labelled structures of several branches, fetched when they are asked for.

    Attributes:
        num_atoms: atoms of each, int64, (S,).
        branch_index: branch of each, int64, (S,).
        has_stress: whether any of them is labelled with stress.

    Args:
        sources: of different branches; structures are numbered through them one after the other.
        branch_names: the model's branches; a source of another is refused.
        neighbors: has the cutoff, and room for neighbor lists; of these sources alone.
        has_stress: whether any of the structures is labelled with stress.
        rows: numbers of the structures that belong to the set, in its order, (S,); None is all.
        place: ranks that have the same set and count its edges together; None is this one alone.

    Raises:
        ValueError: there is no structure, or a source is of an unknown branch.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        branch_names: Sequence[str],
        neighbors: NeighborCache,
        has_stress: bool,
        rows: np.ndarray | None = None,
        place: Place | None = None,
    ) -> None:
        for source in sources:
            if source.branch not in branch_names:
                raise ValueError(unknown("branch", source.branch, branch_names))
        self.has_stress = has_stress
        self._sources = tuple(sources)
        self._neighbors = neighbors
        self._place = place or Place()
        self._first = offsets_of([len(source.num_atoms) for source in sources])
        self._rows = np.arange(self._first[-1]) if rows is None else rows
        if not len(self._rows):
            raise ValueError("training needs at least one structure, got 0")
        self.num_atoms = np.concatenate([source.num_atoms for source in sources])[self._rows]
        branches = np.array([list(branch_names).index(source.branch) for source in sources])
        self.branch_index = branches[self._source_of(self._rows)]

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def num_edges(self) -> np.ndarray:
        """Edges of each structure, int64, (S,).

        They are counted when first asked for, by the ranks of the place together, and neighbor
        lists found on the way are kept. Collective over these ranks.

        Raises:
            ValueError: a structure has no neighbor list.
            DataError: the same on another rank.
        """
        own = share_of(self.num_atoms, self._place.rank, self._place.size)
        counts: list[int] = []

        def count() -> None:
            for start in range(0, len(own), _CHUNK):
                counts.extend(map(len, self._fetched(own[start : start + _CHUNK]).edges))

        together(self._place, count)
        counted = np.empty(len(self), dtype=np.int64)
        for places, found in self._place.all_of((own, np.array(counts, dtype=np.int64))):
            counted[places] = found
        return counted

    @property
    def census(self) -> Census:
        """Of these structures alone. Collective as `num_edges` is."""
        return Census(
            branch_index=self.branch_index, num_atoms=self.num_atoms, num_edges=self.num_edges
        )

    def graph(self, indices: np.ndarray) -> AtomicGraph | None:
        """Structures of these indices as one graph; None of none.

        Raises:
            ValueError: a structure has no neighbor list.
        """
        if not len(indices):
            return None
        fetched = self._fetched(indices)
        return graph_of(
            fetched.arrays,
            self.num_atoms[indices],
            cutoff=self._neighbors.cutoff,
            branch_index=self.branch_index[indices],
            edges=fetched.edges,
            names=fetched.names,
        )

    def _fetched(self, indices: np.ndarray) -> "_Fetched":
        rows, bounds = self._rows[indices], offsets_of(self.num_atoms[indices])
        tables, order = zip(*self._tables(rows), strict=True)
        arrays = _in_order(tables, np.argsort(np.concatenate(order)))
        texts = [table.text("source", k) for table in tables for k in range(len(table))]
        names: list[str] = [""] * len(rows)
        for place, text in zip(np.concatenate(order).tolist(), texts, strict=True):
            names[place] = text
        edges = []
        for k, row in enumerate(rows.tolist()):
            positions = arrays["positions"][bounds[k] : bounds[k + 1]]
            try:
                found = self._neighbors.edges(row, positions, arrays["cell"][k], arrays["pbc"][k])
            except ValueError as error:
                raise ValueError(f"structure {names[k]}: {error}") from None
            edges.append(found)
        return _Fetched(arrays=arrays, names=tuple(names), edges=edges)

    def _tables(self, rows: np.ndarray) -> Iterator[tuple[StructureTable, np.ndarray]]:
        """One table for each source that has some of the rows, and which of them these are."""
        of_source = self._source_of(rows)
        for number in np.unique(of_source).tolist():
            which = np.flatnonzero(of_source == number)
            local = rows[which] - self._first[number]
            yield self._sources[number].fetch_table(local), which

    def _source_of(self, rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._first, rows, side="right") - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fetched:
    """Some structures: fields end to end, names and neighbor lists."""

    arrays: dict[str, np.ndarray]
    names: tuple[str, ...]
    edges: list[Edges]


def _in_order(tables: Sequence[StructureTable], order: np.ndarray) -> dict[str, np.ndarray]:
    """Fields of the structures of tables, taken as the order says, (S,), once they are joined."""
    num_atoms = np.concatenate([table.num_atoms for table in tables])
    atoms = ragged(offsets_of(num_atoms)[order], num_atoms[order])
    return {
        field.name: np.concatenate([table.arrays[field.name] for table in tables])[
            atoms if field.is_per_atom else order
        ]
        for field in FIELDS.values()
    }

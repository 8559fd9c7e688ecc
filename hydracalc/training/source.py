"""Structures of all branches under one numbering, handed out as graphs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from hydracalc.graphs.collate import collate
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.neighbors import Edges, neighbor_list
from hydracalc.structure import AtomicStructure

if TYPE_CHECKING:
    from hydracalc.store.store import StructureStore

_COUNTED_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Batch:
    """Structures and their graph.

    Attributes:
        indices: of the structures in their source, (S,).
        graph: of these structures.
    """

    indices: np.ndarray
    graph: AtomicGraph


class GraphSource:
    """Graphs of any structures of the stores; neighbor lists are computed once.

    Structures of the first store come first. The branch of a structure is the place of its store.

    Args:
        stores: one of each branch.
        cutoff: Angstrom.
        cache_gb: memory for neighbor lists, 10^9 bytes.
    """

    def __init__(
        self, stores: Sequence["StructureStore"], *, cutoff: float, cache_gb: float
    ) -> None:
        self.stores = list(stores)
        self.cutoff = cutoff
        sizes = [len(store) for store in stores]
        self.starts = np.cumsum([0, *sizes])
        self.branch_of = np.repeat(np.arange(len(sizes)), sizes)  # (S,)
        self.num_atoms = np.concatenate([np.asarray(store.num_atoms) for store in stores])  # (S,)
        self._lists: dict[int, Edges] = {}
        self._bytes_left = int(cache_gb * 1e9)

    def __len__(self) -> int:
        return len(self.branch_of)

    def structures(self, indices: np.ndarray) -> list[AtomicStructure]:
        """Structures in the order of their indices."""
        found: list[AtomicStructure | None] = [None] * len(indices)
        branches = self.branch_of[indices]
        for branch in np.unique(branches):
            places = np.nonzero(branches == branch)[0]
            fetched = self.stores[branch].fetch(indices[places] - self.starts[branch])
            for place, structure in zip(places, fetched, strict=True):
                found[place] = structure
        return [structure for structure in found if structure is not None]

    def batch(self, indices: np.ndarray) -> Batch:
        """Structures as one graph with labels and branches.

        Raises:
            ValueError: a structure has no neighbor list; the message names it.
        """
        structures = self.structures(indices)
        edges = [self._edges(int(i), s) for i, s in zip(indices, structures, strict=True)]
        graph = collate(structures, self.cutoff, edges=edges)
        branches = torch.from_numpy(self.branch_of[indices])
        return Batch(indices, replace(graph, branch_index=branches))

    def num_edges(self) -> np.ndarray:
        """Edges of every structure, (S,); fills the memory for neighbor lists on the way."""
        counts = np.zeros(len(self), dtype=np.int64)
        for start in range(0, len(self), _COUNTED_AT_ONCE):
            indices = np.arange(start, min(start + _COUNTED_AT_ONCE, len(self)))
            for index, structure in zip(indices, self.structures(indices), strict=True):
                counts[index] = len(self._edges(int(index), structure))
        return counts

    def _edges(self, index: int, structure: AtomicStructure) -> Edges:
        kept = self._lists.get(index)
        if kept is not None:
            return _expanded(kept)
        try:
            edges = neighbor_list(structure.positions, structure.cell, structure.pbc, self.cutoff)
        except ValueError as error:
            raise ValueError(f"structure {structure.source or index}: {error}") from None
        compact = _compact(edges, structure.num_atoms)
        size = compact.senders.nbytes + compact.receivers.nbytes + compact.cell_shifts.nbytes
        if size <= self._bytes_left:
            self._bytes_left -= size
            self._lists[index] = compact
        return edges


def _compact(edges: Edges, num_atoms: int) -> Edges:
    """The same list in the narrowest integers that hold it."""
    atoms = np.int16 if num_atoms <= np.iinfo(np.int16).max else np.int32
    reach = int(np.abs(edges.cell_shifts).max(initial=0))
    shifts = np.int8 if reach <= np.iinfo(np.int8).max else np.int32
    return Edges(
        senders=edges.senders.astype(atoms),
        receivers=edges.receivers.astype(atoms),
        cell_shifts=edges.cell_shifts.astype(shifts),
    )


def _expanded(edges: Edges) -> Edges:
    return Edges(
        senders=edges.senders.astype(np.int64),
        receivers=edges.receivers.astype(np.int64),
        cell_shifts=edges.cell_shifts.astype(np.int64),
    )

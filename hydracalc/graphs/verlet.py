"""A neighbor list kept over the steps of a simulation and rebuilt only when it must be."""

from dataclasses import dataclass

import numpy as np

from hydracalc.graphs.neighbors import Edges, neighbor_list
from hydracalc.kernels.neighbor_loops import keep_near


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kept:
    """The list as built with cutoff + skin, and the structure it was built for."""

    edges: Edges
    shifts: np.ndarray  # cell_shifts in float64, (E, 3)
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray


class VerletList:
    """Neighbor lists of a moving structure, equal at every step to one built afresh.

    A list built with cutoff + skin holds every pair nearer than the cutoff for as long as no two
    atoms can have closed the gap of one skin. Each call keeps those pairs that are nearer than the
    cutoff now.

    With the cell unchanged the list lasts until an atom has moved half a skin. When the cell of a
    fully periodic structure is deformed by F, so that r -> rF plus a motion u of each atom, a pair
    that was d apart is now at least s d - 2 max|u| apart, s being the smallest singular value of F;
    the list lasts while that stays above the cutoff for d = cutoff + skin.

    Attributes:
        cutoff: pairs nearer than this are edges, Angstrom.
        skin: extra reach of the kept list, Angstrom; 0 builds every list afresh.
        num_rebuilds: lists built so far.
    """

    def __init__(self, cutoff: float, skin: float) -> None:
        if not 0 <= skin < np.inf:
            raise ValueError(f"skin is {skin} Angstrom, expected 0 or more")
        self.cutoff = cutoff
        self.skin = skin
        self.num_rebuilds = 0
        self._kept: _Kept | None = None

    def edges(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> Edges:
        """The pairs nearer than the cutoff, as `neighbor_list` gives them.

        Args:
            positions: Angstrom, (N, 3); atoms must not be wrapped back between calls, which is
                not wrong but costs a rebuild.
            cell: lattice vectors as rows, Angstrom, (3, 3).
            pbc: periodic directions, bool, (3,).

        Raises:
            ValueError: as `neighbor_list`.
        """
        positions = np.asarray(positions, dtype=np.float64)
        cell = np.asarray(cell, dtype=np.float64)
        pbc = np.asarray(pbc, dtype=bool)
        if self._kept is None or not self._still_holds(self._kept, positions, cell, pbc):
            self._kept = self._built(positions, cell, pbc)
        return self._near(self._kept, positions, cell)

    def _built(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> _Kept:
        self._kept = None  # nothing stale stays behind if the new structure is refused
        edges = neighbor_list(positions, cell, pbc, self.cutoff + self.skin)
        self.num_rebuilds += 1
        return _Kept(
            edges=edges,
            shifts=edges.cell_shifts.astype(np.float64),
            positions=positions.copy(),
            cell=cell.copy(),
            pbc=pbc.copy(),
        )

    def _still_holds(
        self, kept: _Kept, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray
    ) -> bool:
        if positions.shape != kept.positions.shape or (pbc != kept.pbc).any():
            return False
        reach = self.cutoff + self.skin
        start = kept.positions
        if (cell != kept.cell).any():
            if not pbc.all() or not np.isfinite(cell).all():
                return False
            deformation = np.linalg.solve(kept.cell, cell)
            reach *= np.linalg.svd(deformation, compute_uv=False)[-1]
            start = start @ deformation
        moved = positions - start
        farthest = np.sqrt(np.einsum("nx,nx->n", moved, moved).max(initial=0.0))
        # NaN compares false, so that a broken structure reaches neighbor_list and its message
        return bool(reach - 2 * farthest >= self.cutoff)

    def _near(self, kept: _Kept, positions: np.ndarray, cell: np.ndarray) -> Edges:
        if self.skin == 0:
            return kept.edges
        edges = kept.edges
        chosen, one_way = np.empty((2, len(edges)), dtype=np.int64)
        vectors = np.empty((len(edges), 3))
        lattice = np.ascontiguousarray(cell if kept.pbc.any() else np.zeros((3, 3)))
        ends = edges.senders, edges.receivers
        count, num_pairs = keep_near(
            np.ascontiguousarray(positions),
            lattice,
            *ends,
            kept.shifts,
            self.cutoff,
            chosen,
            vectors,
            one_way,
        )
        near = chosen[:count]
        return Edges(
            senders=edges.senders.take(near),
            receivers=edges.receivers.take(near),
            cell_shifts=edges.cell_shifts.take(near, axis=0),
            displacements=vectors[:count],
            pair_index=one_way[:num_pairs],
        )

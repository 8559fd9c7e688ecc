"""Which atoms are near which: the one neighbor list, for molecules, slabs, wires and crystals."""

from dataclasses import dataclass

import numpy as np

# an open structure of so few atoms is done faster by all pairs at once (measured, 2 to 3 times)
_FEW_ATOMS = 48
# volume of the periodic lattice vectors relative to that of a box of their lengths
_FLATTEST_CELL = 1e-6
# beyond these the engine's integers overflow; nearer to the origin they cannot
_NEAR_ORIGIN = 1e4  # Angstrom
_LARGEST_SPAN = 1e5  # Angstrom
_FARTHEST_IMAGE = 1e6  # lattice vectors
_LARGEST_KEY = 2**62


@dataclass(frozen=True, kw_only=True, eq=False)
class Edges:
    """Directed neighbor pairs of one structure, sorted by receiver, sender and image.

    Attributes:
        senders: the neighbor of each edge, int64, (E,).
        receivers: the atom that the edge belongs to, ascending, int64, (E,).
        cell_shifts: whole lattice vectors added to the neighbor, int64, (E, 3).
        displacements: from receiver to sender, Angstrom, (E, 3), where they are known already.
        pair_index: one edge of each pair, int64, (P,), where it is known already.
    """

    senders: np.ndarray
    receivers: np.ndarray
    cell_shifts: np.ndarray
    displacements: np.ndarray | None = None
    pair_index: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.senders)

    def vectors(self, positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Vector of every edge from receiver to sender, Angstrom, (E, 3)."""
        between = positions.take(self.senders, axis=0) - positions.take(self.receivers, axis=0)
        return between + self.cell_shifts @ cell


def neighbor_list(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> Edges:
    """All pairs of atoms, periodic images included, nearer to each other than the cutoff.

    Every pair appears in both directions. An atom is its own neighbor through a lattice vector
    shorter than the cutoff, never without one. Atoms may lie outside the cell. Lattice vectors of
    open directions are ignored and may be zero.

    Args:
        positions: Angstrom, (N, 3).
        cell: lattice vectors as rows, Angstrom, (3, 3).
        pbc: periodic directions, bool, (3,).
        cutoff: Angstrom.

    Returns:
        Edges whose vectors `positions[senders] - positions[receivers] + cell_shifts @ cell` point
        from receiver to neighbor.

    Raises:
        ValueError: a number is not finite, the cutoff is not positive, or the lattice vectors of
            the periodic directions span no volume.
    """
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    cell = np.ascontiguousarray(cell, dtype=np.float64)
    pbc = np.ascontiguousarray(pbc, dtype=bool)
    _check(positions, cell, pbc, cutoff)
    if len(positions) <= _FEW_ATOMS and not pbc.any():
        return _all_pairs(positions, cutoff)
    _check_size(positions, cell, pbc)
    from vesin import NeighborList  # brings torch, which readers of molecules do not need

    # more threads gained nothing up to 17,000 atoms, and every rank would start its own
    engine = NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
    pairs, shifts = engine.compute(positions, cell, pbc, "PS", copy=False)
    return _sorted(pairs.astype(np.int64), shifts.astype(np.int64), len(positions))


def _check(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> None:
    """Refuse what has no neighbor list, before an engine answers wrongly or ends the process."""
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions have shape {positions.shape}, expected (N, 3)")
    if cell.shape != (3, 3) or pbc.shape != (3,):
        raise ValueError(
            f"cell and pbc have shapes {cell.shape} and {pbc.shape}, expected (3, 3) and (3,)"
        )
    if not 0 < cutoff < np.inf:
        raise ValueError(f"cutoff is {cutoff} Angstrom, expected a positive number")
    finite = np.isfinite(positions)
    if not finite.all():
        atom = int(np.nonzero(~finite.all(axis=1))[0][0])
        raise ValueError(f"positions of atom {atom} are {positions[atom].tolist()}, not finite")
    if pbc.any():
        _check_cell(cell[pbc], np.nonzero(pbc)[0].tolist())


def _check_cell(vectors: np.ndarray, directions: list[int]) -> None:
    if not np.isfinite(vectors).all():
        raise ValueError(f"lattice vectors {vectors.tolist()} are not finite")
    gram = vectors @ vectors.T
    lengths = np.sqrt(gram.diagonal())
    if not lengths.all():
        zero = directions[int(np.argmin(lengths))]
        raise ValueError(f"lattice vector {zero} is zero but the structure is periodic along it")
    volume = np.sqrt(max(np.linalg.det(gram / np.outer(lengths, lengths)), 0.0))
    if volume < _FLATTEST_CELL:
        raise ValueError(
            f"lattice vectors {directions} are linearly dependent: {vectors.tolist()} Angstrom"
        )


def _check_size(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> None:
    """Refuse structures that have flown apart: the engine would crash or lose pairs."""
    if np.abs(positions).max(initial=0.0) < _NEAR_ORIGIN:
        return
    along_open = positions
    if pbc.any():
        fractional = positions @ np.linalg.pinv(cell[pbc])
        images = float(np.abs(fractional).max())
        if images > _FARTHEST_IMAGE:
            raise ValueError(f"an atom is {images:.3g} lattice vectors away from the cell")
        along_open = positions - fractional @ cell[pbc]
    if not pbc.all():
        span = float(np.ptp(along_open, axis=0).max())
        if span > _LARGEST_SPAN:
            raise ValueError(f"atoms are {span:.3g} Angstrom apart; has the structure come apart?")


def _all_pairs(positions: np.ndarray, cutoff: float) -> Edges:
    between = positions[None, :, :] - positions[:, None, :]  # (N, N, 3), receiver first
    near = np.einsum("rsx,rsx->rs", between, between) < cutoff * cutoff
    np.fill_diagonal(near, False)
    receivers, senders = near.nonzero()
    shifts = np.zeros((len(senders), 3), dtype=np.int64)
    return Edges(senders=senders, receivers=receivers, cell_shifts=shifts)


def _sorted(pairs: np.ndarray, shifts: np.ndarray, num_atoms: int) -> Edges:
    """Edges by receiver, then sender, then image: equal lists whatever the engine's order."""
    receivers, senders = pairs[:, 0], pairs[:, 1]
    reach = int(np.abs(shifts).max(initial=0))
    width = 2 * reach + 1
    if num_atoms**2 * width**3 < _LARGEST_KEY:
        image = (shifts + reach) @ np.array([width**2, width, 1])
        order = np.argsort((receivers * num_atoms + senders) * width**3 + image)
    else:
        order = np.lexsort((*shifts.T[::-1], senders, receivers))
    return Edges(
        senders=senders.take(order),
        receivers=receivers.take(order),
        cell_shifts=shifts.take(order, axis=0),
    )

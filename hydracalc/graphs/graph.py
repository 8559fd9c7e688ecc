"""The one graph type: a batch of structures with their neighbor edges, as models read it."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class AtomicGraph:
    """S structures side by side: N atoms, E directed edges sorted by receiver.

    Attributes:
        atomic_numbers: int64, (N,).
        positions: Angstrom, float64, (N, 3).
        cell: lattice vectors as rows, Angstrom, float64, (S, 3, 3); zero rows are open directions.
        pbc: bool, (S, 3).
        structure_index: structure each atom belongs to, ascending, int64, (N,).
        senders: the neighbor of each edge, int64, (E,).
        receivers: the atom that the edge belongs to, ascending, int64, (E,).
        cell_shifts: whole lattice vectors added to the neighbor, float64, (E, 3).
        cutoff: every pair nearer than this is an edge, Angstrom.
        total_charge: e, int64, (S,).
        spin_multiplicity: 2S + 1, int64, (S,).
        branch_index: branch each structure is labelled by, int64, (S,); -1 where it has none.
        energy: total energy, eV, float64, (S,); NaN where there is no label.
        forces: eV/Angstrom, float64, (N, 3); NaN where there is no label.
        stress: eV/Angstrom^3, float64, (S, 3, 3); NaN where there is no label.
        names: the structures' own names, for messages.
        edge_vectors: from receiver to sender, Angstrom, (E, 3); set by `with_edge_vectors`.
        edge_lengths: Angstrom, (E,); set with them.
        pair_index: what `pairs` gives, where it is known already, int64, (P,).
    """

    atomic_numbers: Tensor
    positions: Tensor
    cell: Tensor
    pbc: Tensor
    structure_index: Tensor
    senders: Tensor
    receivers: Tensor
    cell_shifts: Tensor
    cutoff: float
    total_charge: Tensor
    spin_multiplicity: Tensor
    branch_index: Tensor
    energy: Tensor | None = None
    forces: Tensor | None = None
    stress: Tensor | None = None
    names: tuple[str, ...] = ()
    edge_vectors: Tensor | None = None
    edge_lengths: Tensor | None = None
    pair_index: Tensor | None = None

    @property
    def num_atoms(self) -> int:
        """Number of atoms, N."""
        return self.atomic_numbers.shape[0]

    @property
    def num_edges(self) -> int:
        """Number of edges, E."""
        return self.senders.shape[0]

    @property
    def num_structures(self) -> int:
        """Number of structures, S."""
        return self.total_charge.shape[0]

    @property
    def atoms_per_structure(self) -> Tensor:
        """N of each structure, int64, (S,)."""
        return torch.bincount(self.structure_index, minlength=self.num_structures)

    @property
    def volume(self) -> Tensor:
        """|det cell|, Angstrom^3, (S,); zero where a direction is open without a lattice vector."""
        a, b, c = self.cell.unbind(dim=1)
        # written out: torch.linalg.det takes longer for one cell than a layer of a model does
        return (a * torch.linalg.cross(b, c)).sum(dim=1).abs()

    def pairs(self) -> Tensor:
        """One edge of each pair of neighbors, ascending, int64, (P,).

        Every pair has two edges, one to each atom; of an atom and its own image, one to each side.

        Raises:
            ValueError: an edge is without its opposite.
        """
        if self.pair_index is not None:
            return self.pair_index
        own = self.senders == self.receivers
        # of two opposite images the one whose first shift that is not zero is positive
        forward = self.cell_shifts @ self.cell_shifts.new_tensor([1e8, 1e4, 1.0]) > 0
        chosen = ((self.senders > self.receivers) | (own & forward)).nonzero()[:, 0]
        if 2 * len(chosen) != self.num_edges:
            raise ValueError(
                f"{self.num_edges} edges are not two for each of {len(chosen)} pairs: a neighbor "
                "list needs an edge each way"
            )
        return chosen

    def displacements(self) -> Tensor:
        """Vector of every edge from receiver to sender, Angstrom, float64, (E, 3)."""
        offsets = torch.zeros_like(self.cell_shifts)
        if bool(self.cell.any()):
            cells = self.cell.index_select(0, self.structure_index.index_select(0, self.receivers))
            offsets = torch.einsum("es,esx->ex", self.cell_shifts, cells)
        ends = self.positions.index_select(0, self.senders)
        return ends - self.positions.index_select(0, self.receivers) + offsets

    def with_edge_vectors(self, edge_vectors: Tensor) -> "AtomicGraph":
        """The same graph with these edge vectors, (E, 3), and their lengths."""
        lengths = torch.linalg.vector_norm(edge_vectors, dim=-1)
        return replace(self, edge_vectors=edge_vectors, edge_lengths=lengths)

    def sum_to_receivers(self, messages: Tensor) -> Tensor:
        """Sum of the messages arriving at each atom, at least float32, (E, ...) to (N, ...)."""
        return _sum(messages, self.receivers, self.num_atoms)

    def sum_over_structures(self, values: Tensor) -> Tensor:
        """Sum of per-atom values in each structure, at least float32, (N, ...) to (S, ...)."""
        return _sum(values, self.structure_index, self.num_structures)

    def to(self, device: torch.device | str) -> "AtomicGraph":
        """The same graph on a device; types are kept."""
        moved: dict[str, Any] = {
            field.name: value.to(device, non_blocking=True)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)

    def describe(self) -> str:
        """One line for messages: sizes and names."""
        shown = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
        return (
            f"{self.num_structures} structures, {self.num_atoms} atoms, "
            f"{self.num_edges} edges ({shown})"
        )


def _sum(rows: Tensor, places: Tensor, count: int) -> Tensor:
    """Sum of the rows that belong to each of some places, (n, ...) to (count, ...).

    Rows of less than float32 are summed in float32: added one after another to a large number in
    bfloat16, they would not change it.
    """
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    return rows.new_zeros((count, *rows.shape[1:])).index_add(0, places, rows)

"""Pairs of consecutive edges k -> j -> i, which span the angles of a structure."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hydracalc.graphs.graph import AtomicGraph


@dataclass(frozen=True, kw_only=True, eq=False)
class Triplets:
    """T pairs of edges, of which the first ends where the second begins.

    Attributes:
        incoming: the edge k -> j, int64, (T,).
        outgoing: the edge j -> i, ascending, int64, (T,).
        num_edges: E.
    """

    incoming: Tensor
    outgoing: Tensor
    num_edges: int

    def cosines(self, directions: Tensor) -> Tensor:
        """Cosine of the angle between the two edges, 1 where k, j, i is a straight way, (T,).

        Args:
            directions: unit vector of every edge, (E, 3).
        """
        first = directions.index_select(0, self.incoming)
        return (first * directions.index_select(0, self.outgoing)).sum(dim=-1)

    def sum_to_outgoing(self, messages: Tensor) -> Tensor:
        """Sum of what arrives at each outgoing edge, (T, ...) to (E, ...), at least float32."""
        kind = torch.promote_types(messages.dtype, torch.float32)
        total = messages.new_zeros((self.num_edges, *messages.shape[1:]), dtype=kind)
        return total.index_add(0, self.outgoing, messages.to(kind))


def find_triplets(graph: AtomicGraph) -> Triplets:
    """Every pair of edges k -> j -> i, but for those that go back along the same edge.

    Periodic images of an atom are different neighbors: k and i may be the same atom or images of
    each other, as long as the way back is not the very edge that was taken.
    """
    senders, receivers, shifts = graph.senders, graph.receivers, graph.cell_shifts
    counts = torch.bincount(receivers, minlength=graph.num_atoms)  # edges that end at each atom
    firsts = counts.cumsum(0) - counts  # where they begin: edges are sorted by receiver
    edges = torch.arange(graph.num_edges, device=senders.device)
    of_edge = counts.index_select(0, senders)  # (E,)
    outgoing = torch.repeat_interleave(edges, of_edge)
    places = torch.arange(outgoing.shape[0], device=senders.device)
    before = of_edge.cumsum(0) - of_edge - firsts.index_select(0, senders)
    incoming = places - before.index_select(0, outgoing)
    returns = senders.index_select(0, incoming) == receivers.index_select(0, outgoing)
    opposite = shifts.index_select(0, incoming) == -shifts.index_select(0, outgoing)
    kept = ~(returns & opposite.all(dim=-1))
    return Triplets(incoming=incoming[kept], outgoing=outgoing[kept], num_edges=senders.shape[0])

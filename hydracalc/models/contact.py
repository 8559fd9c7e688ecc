"""Atoms nearer than any bond look to the encoder as if they were at the nearest it can know.

No dataset has such structures, so what a network says of them is made up, and may be a bond deeper
than all others. Below a part of the sum of two covalent radii the length that the encoder sees
falls ever slower and then no more, and the repulsion of the nuclei, which sees the true length, is
all that is left between the two.
"""

from collections.abc import Callable

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from hydracalc.graphs.graph import AtomicGraph

# of the length at which it begins, where the seen length has stopped falling
_END = 0.7


class Contact(nn.Module):
    """What the encoder sees of edges that are shorter than any bond.

    Args:
        begin: length below which an edge is seen as longer than it is, in sums of covalent radii.
    """

    radii: Tensor

    def __init__(self, begin: float) -> None:
        super().__init__()
        self.begin = begin
        self.register_buffer("radii", torch.tensor(covalent_radii).float(), persistent=False)

    def short(self, graph: AtomicGraph) -> Tensor:
        """Edges that are seen as longer than they are, (e,)."""
        assert graph.edge_lengths is not None
        radii = self.radii.index_select(0, graph.atomic_numbers)
        if not graph.num_edges or bool(
            graph.edge_lengths.detach().amin() >= 2 * self.begin * radii.amax()
        ):
            return graph.senders[:0]  # nothing is near, whichever elements are
        limit = self.begin * (radii[graph.senders] + radii[graph.receivers])
        return (graph.edge_lengths.detach() < limit).nonzero()[:, 0]

    def seen(self, graph: AtomicGraph) -> AtomicGraph:
        """The graph as the encoder sees it; derivatives go through."""
        edges = self.short(graph)
        if not len(edges):
            return graph
        assert graph.edge_vectors is not None
        assert graph.edge_lengths is not None
        lengths = graph.edge_lengths.index_select(0, edges)
        ratio = self._seen_length(graph, edges, lengths)[0] / lengths
        factors = torch.ones_like(graph.edge_lengths).index_copy(0, edges, ratio)
        return graph.with_edge_vectors(graph.edge_vectors * factors[:, None])

    def with_pullback(self, graph: AtomicGraph) -> tuple[AtomicGraph, Callable[[Tensor], Tensor]]:
        """The same, and what carries a gradient from the seen edge vectors to the true ones."""
        edges = self.short(graph)
        if not len(edges):
            return graph, lambda gradient: gradient
        assert graph.edge_vectors is not None
        assert graph.edge_lengths is not None
        lengths = graph.edge_lengths.index_select(0, edges)  # (e,)
        directions = graph.edge_vectors.index_select(0, edges) / lengths[:, None]  # (e, 3)
        length, slope = self._seen_length(graph, edges, lengths)

        def pullback(gradient: Tensor) -> Tensor:
            of_short = gradient.index_select(0, edges)
            along = (of_short * directions).sum(dim=1, keepdim=True) * directions
            across = of_short - along
            moved = across * (length / lengths)[:, None] + along * slope[:, None]
            return gradient.index_copy(0, edges, moved)

        return self.seen(graph), pullback

    def _seen_length(
        self, graph: AtomicGraph, edges: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Seen length of short edges and its slope, both (e,).

        The slope goes from 0 to 1 as 6x^5 - 15x^4 + 10x^3, so the seen length has three continuous
        derivatives.
        """
        ends = graph.senders.index_select(0, edges), graph.receivers.index_select(0, edges)
        radii = (
            self.radii[graph.atomic_numbers[ends[0]]] + self.radii[graph.atomic_numbers[ends[1]]]
        )
        begin = (self.begin * radii).to(lengths.dtype)
        width = (1 - _END) * begin
        x = ((lengths - _END * begin) / width).clamp(min=0)
        slope = x**3 * (x * (6 * x - 15) + 10)
        area = x**4 * (x * (x - 3) + 2.5)  # of the slope up to x
        return begin - width / 2 + width * area, slope

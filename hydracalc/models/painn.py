"""PaiNN: polarizable atom interaction neural network [Schuett et al. 2021, arXiv:2102.03150].

Scalars and vectors travel between neighbors. Vectors pass through linear maps without bias, so the
energy is unchanged when a structure turns, whatever the weights.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.embedding import AtomEmbedding
from hydracalc.models.encoder import EncoderConfig, Features
from hydracalc.models.messages import Inputs, sum_messages
from hydracalc.models.radial import BesselBasis
from hydracalc.models.updates import combine, measure

# under the root of a vector's length: keeps it smooth where symmetry makes the vector vanish
_NORM_FLOOR = 1e-3


class Message(nn.Module):
    """Neighbors update an atom's scalars and vectors [arXiv:2102.03150, Fig. 2b].

    Their s, v are our scalars, vectors; their W is the output of `radial_filter`.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.neighbor_net = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 3 * channels)
        )
        self.radial_filter = nn.Linear(config.num_radial, 3 * channels, bias=False)
        self.scale = config.num_neighbors**-0.5

    def forward(
        self, scalars: Tensor, vectors: Tensor | None, pairs: "Pairs"
    ) -> tuple[Tensor, Tensor]:
        """Sum the messages arriving at each atom.

        Args:
            scalars: invariant features, (N, C).
            vectors: equivariant features, (N, 3, C); None in the first layer, where they are zero.
            pairs: of neighbors, with radial basis and direction.

        Returns:
            increments of scalars, (N, C), and of vectors, (N, 3, C).
        """
        # (N, 3C): shift, steer and stretch of Fig. 2b; sums are never done in less than float32
        gates = self.neighbor_net(scalars).to(pairs.radial.dtype)
        # (K, 3C): what turns radial functions into filters, zero at the cutoff as they are
        mixing = self.radial_filter.weight.T.contiguous()
        shift, turn = sum_messages(
            Inputs(gates, pairs.radial, mixing, pairs.directions, vectors, *pairs.ends)
        )
        return shift * self.scale, turn * self.scale


class Update(nn.Module):
    """An atom mixes its own scalars and vectors [arXiv:2102.03150, Fig. 2c]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.mix = nn.Linear(channels, 2 * channels, bias=False)  # their U and V side by side
        self.gate_net = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 3 * channels)
        )

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Increments of scalars, (N, C), and of vectors, (N, 3, C)."""
        mixed = self.mix(vectors).to(vectors.dtype)  # (N, 3, 2C)
        lengths, overlap = measure(mixed, _NORM_FLOOR)  # 2 x (N, C)
        gates = self.gate_net(torch.cat([scalars, lengths], dim=-1))  # (N, 3C)
        return combine(gates.to(vectors.dtype), overlap, mixed)


class Pairs:
    """Pairs of neighbors, P of them: each one's atoms, radial basis and direction.

    Two atoms of a pair are as far from each other as each other, so half of the edges do.
    """

    def __init__(self, graph: AtomicGraph, basis: BesselBasis) -> None:
        assert graph.edge_vectors is not None
        assert graph.edge_lengths is not None
        chosen = graph.pairs()
        lengths = graph.edge_lengths.index_select(0, chosen)
        self.radial = basis(lengths)  # (P, K)
        # from receiver to sender, (P, 3)
        self.directions = graph.edge_vectors.index_select(0, chosen) / lengths[:, None]
        self.ends = graph.senders[chosen], graph.receivers[chosen]


def alternate(scalars: Tensor, layers: Iterable[tuple[Callable[..., Any], nn.Module]]) -> Features:
    """Messages and updates in turns, each adding to scalars and vectors.

    Args:
        scalars: of the atoms before the first layer, (N, C).
        layers: what gives increments of scalars, (N, C), and vectors, (N, 3, C), of both (vectors
            are None before the first layer), and the update after it; at least one.
    """
    vectors: Tensor | None = None
    for message, update in layers:
        shift, turn = message(scalars, vectors)
        scalars = scalars + shift
        vectors = turn if vectors is None else vectors + turn
        shift, turn = update(scalars, vectors)
        scalars = scalars + shift
        vectors = vectors + turn
    assert vectors is not None  # a config has at least one layer
    return Features(scalars=scalars, vectors=vectors)


class PaiNN(nn.Module):
    """Rounds of messages and updates over scalars and vectors [arXiv:2102.03150, Fig. 2a]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.num_channels = config.num_channels
        self.num_vectors = config.num_channels
        self.embedding = AtomEmbedding(config.num_channels)
        self.basis = BesselBasis(config.num_radial, config.cutoff)
        self.messages = nn.ModuleList(Message(config) for _ in range(config.num_layers))
        self.updates = nn.ModuleList(Update(config) for _ in range(config.num_layers))

    def forward(self, graph: AtomicGraph) -> Features:
        """Features of every atom: scalars (N, C), vectors (N, 3, C)."""
        pairs = Pairs(graph, self.basis)
        messages = (partial(message, pairs=pairs) for message in self.messages)
        return alternate(self.embedding(graph), zip(messages, self.updates, strict=True))

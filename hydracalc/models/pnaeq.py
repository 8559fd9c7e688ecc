"""PNAEq: several aggregators of the scalar messages, PaiNN's vectors beside them.

Principal neighborhood aggregation [Corso et al. 2020, arXiv:2004.05718] joined to PaiNN
[arXiv:2102.03150]: the mean, the extremes and the spread of the messages that reach an atom, each
scaled by how many neighbors it has, where PaiNN has their sum.

As published, the aggregators are no functions for forces: minimum and maximum have kinks, where one
neighbor takes over from another, and all four and the degree jump when a neighbor crosses the
cutoff. Here each edge counts by its envelope, the extremes are soft, the spread has a floor under
its root, and each atom counts as one more neighbor, which is silent. So every aggregate is twice
continuously differentiable, it fades in and out with the neighbors, and it is zero without any.
"""

import math
from functools import partial

import torch
from torch import Tensor, nn

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.embedding import AtomEmbedding
from hydracalc.models.encoder import EncoderConfig, Features
from hydracalc.models.initialization import glorot
from hydracalc.models.painn import Update, alternate
from hydracalc.models.radial import BesselBasis, envelope

# the soft extremes of messages that differ by more than a few 1 / sharpness are the extremes
SHARPNESS = 2.0
# under the root of the variance: keeps it smooth where all messages agree
VARIANCE_FLOOR = 1e-2
NUM_AGGREGATORS = 4
NUM_SCALERS = 3


class Neighborhood:
    """Statistics of the messages that reach each atom, from its neighbors and, silent, itself.

    Args:
        graph: the edges.
        weights: how much each edge counts, zero at the cutoff, (E,).
    """

    def __init__(self, graph: AtomicGraph, weights: Tensor) -> None:
        self.graph = graph
        self.weights = weights[:, None]
        self.counts = 1 + graph.sum_to_receivers(self.weights)  # (N, 1)

    def mean(self, messages: Tensor) -> Tensor:
        """Weighted mean, (E, C) to (N, C)."""
        return self.graph.sum_to_receivers(messages * self.weights) / self.counts

    def deviation(self, messages: Tensor, mean: Tensor) -> Tensor:
        """Weighted standard deviation, less what the floor makes of none, (E, C) to (N, C)."""
        apart = messages - mean.index_select(0, self.graph.receivers)  # (E, C)
        squares = self.graph.sum_to_receivers(apart.square() * self.weights) + mean.square()
        return torch.sqrt(squares / self.counts + VARIANCE_FLOOR) - VARIANCE_FLOOR**0.5

    def maximum(self, messages: Tensor, sharpness: float) -> Tensor:
        """Soft maximum over neighbors and zero, (E, C) to (N, C).

        ln of the weighted mean of exp(sharpness * message), over sharpness; the larger that is, the
        nearer to the hard maximum.
        """
        exponents = messages * sharpness
        # subtracted and added again: nothing overflows, and neither value nor derivatives change
        highest = self._highest(exponents.detach())
        grown = torch.exp(exponents - highest.index_select(0, self.graph.receivers))
        total = self.graph.sum_to_receivers(grown * self.weights) + torch.exp(-highest)
        return (torch.log(total / self.counts) + highest) / sharpness

    def minimum(self, messages: Tensor, sharpness: float) -> Tensor:
        """Soft minimum over neighbors and zero, (E, C) to (N, C)."""
        return -self.maximum(-messages, sharpness)

    def aggregate(self, messages: Tensor) -> Tensor:
        """Mean, deviation, maximum and minimum side by side, (E, C) to (N, 4C)."""
        messages = messages.to(self.weights.dtype)
        mean = self.mean(messages)
        spread = self.deviation(messages, mean)
        extremes = self.maximum(messages, SHARPNESS), self.minimum(messages, SHARPNESS)
        return torch.cat([mean, spread, *extremes], dim=-1)

    def scalers(self, typical: float) -> Tensor:
        """Identity, amplification and attenuation [arXiv:2004.05718, eq. 5], (N, 3).

        Args:
            typical: number of neighbors for which all three are one.
        """
        # the silent neighbor keeps the logarithm, and so the attenuation, away from zero
        amplification = torch.log1p(self.counts) / math.log(2 + typical)
        return torch.cat([torch.ones_like(amplification), amplification, 1 / amplification], dim=1)

    def _highest(self, values: Tensor) -> Tensor:
        """The largest of zero and the values that reach each atom, (E, C) to (N, C)."""
        lowest = values.new_zeros((self.graph.num_atoms, values.shape[1]))
        places = self.graph.receivers[:, None].expand_as(values)
        return lowest.scatter_reduce(0, places, values, "amax")


class Message(nn.Module):
    """Neighbors update an atom's scalars by their statistics and its vectors by their sum."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.ends = nn.Linear(channels, 2 * channels)
        self.distance = nn.Linear(config.num_radial, channels, bias=False)
        self.gate_net = nn.Sequential(nn.SiLU(), nn.Linear(channels, 3 * channels))
        self.radial_filter = nn.Linear(config.num_radial, 3 * channels, bias=False)
        self.tower = nn.Linear(NUM_AGGREGATORS * channels, NUM_SCALERS * channels, bias=False)
        self.update_net = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, channels)
        )
        self.typical = config.num_neighbors
        self.scale = config.num_neighbors**-0.5

    def forward(
        self, scalars: Tensor, vectors: Tensor | None, neighborhood: Neighborhood, radial: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Increments of scalars, (N, C), and of vectors, (N, 3, C).

        Args:
            scalars: invariant features, (N, C).
            vectors: equivariant features, (N, 3, C); None in the first layer, where they are zero.
            neighborhood: the edges, and how much each counts.
            radial: radial basis of each edge, (E, K).
        """
        graph = neighborhood.graph
        assert graph.edge_vectors is not None
        assert graph.edge_lengths is not None
        own, other = self.ends(scalars).chunk(2, dim=-1)  # 2 x (N, C)
        pairs = own.index_select(0, graph.receivers) + other.index_select(0, graph.senders)
        gates = self.gate_net(pairs + self.distance(radial))  # (E, 3C)
        gates = gates * self.radial_filter(radial)  # (E, 3C), zero at the cutoff
        messages, steer, stretch = gates.chunk(3, dim=-1)  # 3 x (E, C)
        directions = graph.edge_vectors / graph.edge_lengths[:, None]  # (E, 3)
        moved = steer[:, None, :] * directions[:, :, None]  # (E, 3, C)
        if vectors is not None:
            moved = moved + stretch[:, None, :] * vectors.index_select(0, graph.senders)
        heard = self._scaled(neighborhood, messages)  # (N, C)
        shift = self.update_net(torch.cat([scalars, heard], dim=-1))  # (N, C)
        return shift, graph.sum_to_receivers(moved) * self.scale

    def _scaled(self, neighborhood: Neighborhood, messages: Tensor) -> Tensor:
        """A linear map of every aggregate times every scaler, (E, C) to (N, C)."""
        scalers = neighborhood.scalers(self.typical)[:, :, None]  # (N, 3, 1)
        mixed = self.tower(neighborhood.aggregate(messages))  # (N, 3C)
        # the map first and the scalers after: the same sum without an array of 12C channels
        return (mixed.unflatten(-1, (NUM_SCALERS, -1)) * scalers).sum(dim=1)  # (N, C)


class PNAEq(nn.Module):
    """Rounds of messages with several aggregators, and of PaiNN's updates."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.num_channels = config.num_channels
        self.num_vectors = config.num_channels
        self.cutoff = config.cutoff
        self.embedding = AtomEmbedding(config.num_channels)
        self.basis = BesselBasis(config.num_radial, config.cutoff)
        self.messages = nn.ModuleList(Message(config) for _ in range(config.num_layers))
        self.updates = nn.ModuleList(Update(config) for _ in range(config.num_layers))
        self.apply(glorot)

    def forward(self, graph: AtomicGraph) -> Features:
        """Features of every atom: scalars (N, C), vectors (N, 3, C)."""
        assert graph.edge_lengths is not None
        radial = self.basis(graph.edge_lengths)  # (E, K)
        neighborhood = Neighborhood(graph, envelope(graph.edge_lengths, self.cutoff))
        messages = (
            partial(message, neighborhood=neighborhood, radial=radial) for message in self.messages
        )
        return alternate(self.embedding(graph), zip(messages, self.updates, strict=True))

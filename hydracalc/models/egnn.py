"""EGNN: E(n) equivariant graph neural network [Satorras et al. 2021, arXiv:2102.09844].

Messages are weighed by an envelope that vanishes at the cutoff, and the coordinate update moves
atoms relative to their neighbors' periodic images: both are missing where the original is used as
published.
"""

import torch
from torch import Tensor, nn

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.embedding import AtomEmbedding
from hydracalc.models.encoder import EncoderConfig, Features
from hydracalc.models.radial import BesselBasis, envelope


class Layer(nn.Module):
    """One round of equations 3 to 6 of arXiv:2102.09844.

    Their h is our scalars, their x - x(0) our displacements, m the messages.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.ends = nn.Linear(channels, 2 * channels)
        self.distance = nn.Linear(config.num_radial, channels, bias=False)
        self.message_net = nn.Sequential(nn.SiLU(), nn.Linear(channels, channels), nn.SiLU())
        self.pull = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 1, bias=False)
        )
        self.node_net = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, channels)
        )
        self.scale = config.num_neighbors**-0.5

    def forward(
        self,
        scalars: Tensor,
        edge_vectors: Tensor,
        graph: AtomicGraph,
        weights: Tensor,
        basis: BesselBasis,
    ) -> tuple[Tensor, Tensor]:
        """Increments of the scalars, (N, C), and of the displacements, Angstrom, (N, 3).

        Args:
            scalars: invariant features, (N, C).
            edge_vectors: between displaced atoms, Angstrom, (E, 3).
            graph: the edges.
            weights: envelope of the undisplaced lengths, (E, 1).
            basis: radial basis.
        """
        lengths = torch.sqrt(edge_vectors.square().sum(dim=-1) + 1e-6)  # (E,)
        own, other = self.ends(scalars).chunk(2, dim=-1)  # 2 x (N, C)
        pairs = own.index_select(0, graph.receivers) + other.index_select(0, graph.senders)
        messages = self.message_net(pairs + self.distance(basis(lengths)))  # (E, C)
        messages = messages * weights  # zero at the cutoff
        # normalized by length + 1 A as the paper's code does, so far neighbors do not dominate
        steps = edge_vectors / (lengths[:, None] + 1) * self.pull(messages) * weights  # (E, 3)
        heard = graph.sum_to_receivers(messages) * self.scale  # (N, C)
        moved = graph.sum_to_receivers(steps) * self.scale  # (N, 3)
        return self.node_net(torch.cat([scalars, heard], dim=-1)), moved


class EGNN(nn.Module):
    """Layers of messages over distances, with atoms that move as they go."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.num_channels = config.num_channels
        self.num_vectors = config.num_layers
        self.cutoff = config.cutoff
        self.embedding = AtomEmbedding(config.num_channels)
        self.basis = BesselBasis(config.num_radial, config.cutoff)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layers))

    def forward(self, graph: AtomicGraph) -> Features:
        """Features of every atom: scalars (N, C), displacements of each layer (N, 3, layers)."""
        assert graph.edge_vectors is not None
        assert graph.edge_lengths is not None
        weights = envelope(graph.edge_lengths, self.cutoff)[:, None]  # (E, 1)
        scalars = self.embedding(graph)  # (N, C)
        edge_vectors, displacements = graph.edge_vectors, []
        for layer in self.layers:
            shift, moved = layer(scalars, edge_vectors, graph, weights, self.basis)
            scalars = scalars + shift
            displacements.append(moved)
            edge_vectors = (
                edge_vectors
                + moved.index_select(0, graph.senders)
                - moved.index_select(0, graph.receivers)
            )
        return Features(scalars=scalars, vectors=torch.stack(displacements, dim=-1))

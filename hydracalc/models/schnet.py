"""SchNet: continuous-filter convolutions [arXiv:1706.08566; Schuett 2018, 10.1063/1.5019779].

Atoms see the distances to their neighbors and nothing else, so the features are scalars. For heads
that give forces without a derivative, the last messages are also summed as vectors.
"""

import math

from torch import Tensor, nn

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.embedding import AtomEmbedding
from hydracalc.models.encoder import EncoderConfig, Features
from hydracalc.models.radial import BesselBasis, envelope

# enough for a force head to choose from, and cheap beside the scalars' convolutions
NUM_VECTORS = 16


class ShiftedSoftplus(nn.Module):
    """ln(e^x / 2 + 1/2), zero at zero [arXiv:1706.08566, section 4.1]."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Activations of the shape of the inputs."""
        return nn.functional.softplus(inputs) - math.log(2.0)


class Convolution(nn.Module):
    """Neighbors, weighed by a filter of the distance, update an atom [arXiv:1706.08566, Fig. 2].

    Their x are our scalars, their W(r) the output of `filter_net`. Beyond the paper, filters end
    with the envelope, and the sum is divided by the root of the typical number of neighbors.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.neighbor_net = nn.Linear(channels, channels, bias=False)
        self.filter_net = nn.Sequential(
            nn.Linear(config.num_radial, channels), ShiftedSoftplus(), nn.Linear(channels, channels)
        )
        self.update_net = nn.Sequential(
            nn.Linear(channels, channels), ShiftedSoftplus(), nn.Linear(channels, channels)
        )
        self.scale = config.num_neighbors**-0.5

    def forward(
        self, scalars: Tensor, graph: AtomicGraph, radial: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Increments of the scalars, (N, C), and the messages they were made of, (E, C).

        Args:
            scalars: invariant features, (N, C).
            graph: the edges.
            radial: radial basis of each edge, (E, K).
            weights: envelope of each edge, (E, 1).
        """
        filters = self.filter_net(radial) * weights  # (E, C), zero at the cutoff
        messages = self.neighbor_net(scalars).index_select(0, graph.senders) * filters  # (E, C)
        heard = graph.sum_to_receivers(messages) * self.scale  # (N, C)
        return self.update_net(heard), messages


class SchNet(nn.Module):
    """Layers of convolutions over distances [arXiv:1706.08566, Fig. 2, left]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.num_channels = config.num_channels
        self.num_vectors = NUM_VECTORS
        self.cutoff = config.cutoff
        self.embedding = AtomEmbedding(config.num_channels)
        self.basis = BesselBasis(config.num_radial, config.cutoff)
        self.layers = nn.ModuleList(Convolution(config) for _ in range(config.num_layers))
        self.steer = nn.Linear(config.num_channels, self.num_vectors, bias=False)
        self.scale = config.num_neighbors**-0.5

    def forward(self, graph: AtomicGraph) -> Features:
        """Features of every atom: scalars (N, C), vectors (N, 3, C')."""
        assert graph.edge_vectors is not None
        assert graph.edge_lengths is not None
        radial = self.basis(graph.edge_lengths)  # (E, K)
        weights = envelope(graph.edge_lengths, self.cutoff)[:, None]  # (E, 1)
        scalars = self.embedding(graph)  # (N, C)
        messages: Tensor | None = None
        for layer in self.layers:
            shift, messages = layer(scalars, graph, radial, weights)
            scalars = scalars + shift
        assert messages is not None  # a config has at least one layer
        directions = graph.edge_vectors / graph.edge_lengths[:, None]  # (E, 3)
        pulls = self.steer(messages)[:, None, :] * directions[:, :, None]  # (E, 3, C')
        return Features(scalars=scalars, vectors=graph.sum_to_receivers(pulls) * self.scale)

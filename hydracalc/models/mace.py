"""MACE: higher order equivariant messages [Batatia et al. 2022, arXiv:2206.07697, 2205.06643].

Features are (N, D, C): C channels of D = (l_max + 1)^2 components, the degrees l one after another.
As in the authors' code, the skip connection is a matrix per element and degree, and the last layer
makes scalars only.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.embedding import AtomEmbedding
from hydracalc.models.encoder import EncoderConfig, Features
from hydracalc.models.mace_basis import (
    Constants,
    SphericalHarmonics,
    coupling,
    degree_sizes,
    message_paths,
)
from hydracalc.models.mace_options import MACEOptions
from hydracalc.models.mace_product import (
    DegreeLinear,
    ElementGroups,
    ElementLinear,
    SymmetricContraction,
    normal_linear,
)
from hydracalc.models.radial import BesselBasis

# root of the inverse mean square of SiLU of a normal variable: layers after it keep variance one
_SILU_GAIN = 1.679


class Edges:
    """Radial basis, (E, K), and harmonics of the direction to the neighbor, (E, D)."""

    def __init__(
        self, graph: AtomicGraph, basis: BesselBasis, harmonics: SphericalHarmonics
    ) -> None:
        assert graph.edge_vectors is not None
        assert graph.edge_lengths is not None
        self.radial = basis(graph.edge_lengths)
        self.harmonics = harmonics(graph.edge_vectors / graph.edge_lengths[:, None])


class Convolution(nn.Module):
    """Neighbors are summed into the A basis [arXiv:2206.07697, eq. 8 and 9].

    Their R is the output of `radial_net`, which has no bias and so vanishes with its input at the
    cutoff. Sums are divided by the typical number of neighbors itself, as in the authors' code:
    what follows is a product of `correlation` such sums.

    Args:
        config: size of the encoder.
        options: of MACE.
        degree: highest of the incoming features.
    """

    def __init__(self, config: EncoderConfig, options: MACEOptions, degree: int) -> None:
        super().__init__()
        channels = config.num_channels
        self.channels = channels
        self.paths = message_paths(degree, options.max_degree)
        self.mix_senders = DegreeLinear([channels] * (degree + 1), channels)
        self.radial_net = _radial_net(
            (config.num_radial, *options.radial_widths, len(self.paths) * channels)
        )
        self.couplings = nn.ModuleList(
            Constants(torch.from_numpy(coupling(path.sender, path.harmonic, path.message)))
            for path in self.paths
        )
        messages = [path.message for path in self.paths]
        degrees = range(options.max_degree + 1)
        widths = [messages.count(degree) * channels for degree in degrees]
        self.mix_messages = DegreeLinear(widths, channels)
        self.degree, self.max_degree = degree, options.max_degree
        self.scale = 1 / config.num_neighbors

    def forward(self, features: Tensor, edges: Edges, graph: AtomicGraph) -> Tensor:
        """A basis of every atom, (N, D, C), from the features of all, (N, d, C)."""
        sent = self.mix_senders(features).index_select(0, graph.senders)  # (E, d, C)
        own = sent.split(degree_sizes(self.degree), dim=1)
        harmonics = edges.harmonics.split(degree_sizes(self.max_degree), dim=1)
        filters = self.radial_net(edges.radial)  # (E, paths * C), zero at the cutoff
        sums: list[list[Tensor]] = [[] for _ in range(self.max_degree + 1)]
        for index, gates in enumerate(filters.split(self.channels, dim=1)):
            path = self.paths[index]
            gated = own[path.sender] * gates[:, None, :]  # (E, 2 l1 + 1, C)
            messages = self._message(index, gated, harmonics[path.harmonic])
            sums[path.message].append(graph.sum_to_receivers(messages))  # (N, 2 l3 + 1, C)
        parts = [torch.cat(of_degree, dim=-1) for of_degree in sums]
        return self.mix_messages.of_parts(parts) * self.scale

    def _message(self, index: int, gated: Tensor, harmonics: Tensor) -> Tensor:
        """Couple senders' features, (E, 2 l1 + 1, C), with harmonics to (E, 2 l3 + 1, C)."""
        if self.paths[index].sender == 0:
            return harmonics[:, :, None] * gated
        symbol = self.couplings[index].values
        with torch.autocast(gated.device.type, enabled=False):  # geometry keeps its digits
            turn = torch.einsum("eb,abm->ema", harmonics, symbol)  # (E, 2 l3 + 1, 2 l1 + 1)
            return torch.bmm(turn, gated.to(turn.dtype))


def _radial_net(widths: tuple[int, ...]) -> nn.Sequential:
    """Network of the distance, without biases; outputs of variance one where inputs have it."""
    layers: list[nn.Module] = [normal_linear(widths[0], widths[1])]
    for ends in pairwise(widths[1:]):
        layers += [nn.SiLU(), normal_linear(*ends, gain=_SILU_GAIN)]
    return nn.Sequential(*layers)


class Layer(nn.Module):
    """Sum over neighbors, products of the sums, and what the atom was [arXiv:2206.07697, sec. 4].

    Args:
        config: size of the encoder.
        options: of MACE.
        degree_in: highest of the incoming features.
        degree_out: highest of the features made.
    """

    def __init__(
        self, config: EncoderConfig, options: MACEOptions, degree_in: int, degree_out: int
    ) -> None:
        super().__init__()
        channels = config.num_channels
        self.convolution = Convolution(config, options, degree_in)
        self.contraction = SymmetricContraction(
            channels,
            max_degree=options.max_degree,
            correlation=options.correlation,
            result_degree=degree_out,
        )
        self.mix = DegreeLinear([channels] * (degree_out + 1), channels)
        self.skip = ElementLinear(channels, min(degree_in, degree_out))

    def forward(
        self, features: Tensor, edges: Edges, graph: AtomicGraph, groups: ElementGroups
    ) -> tuple[Tensor, Tensor]:
        """Features of the next layer, (N, d', C), and the sums they are made of, (N, D, C)."""
        sums = self.convolution(features, edges, graph)  # A basis
        products = self.mix(self.contraction(sums, groups))  # (N, d', C), eq. 11
        kept = self.skip(features, groups)  # (N, d, C) of the degrees that both have
        missing = products.shape[1] - kept.shape[1]
        return products + nn.functional.pad(kept, (0, 0, 0, missing)), sums


class MACE(nn.Module):
    """Layers of many-body messages [arXiv:2206.07697].

    The scalars of all layers stand side by side, num_layers * C of them, since energies are read
    out of each (eq. 13). The vectors are the degree 1 of the last layer's sums over neighbors.

    Args:
        config: size.
        options: degrees and correlation.
    """

    def __init__(self, config: EncoderConfig, options: MACEOptions | None = None) -> None:
        super().__init__()
        options = options or MACEOptions()
        self.num_channels = config.num_layers * config.num_channels
        self.num_vectors = config.num_channels
        self.embedding = AtomEmbedding(config.num_channels)
        self.basis = BesselBasis(config.num_radial, config.cutoff)
        self.harmonics = SphericalHarmonics(options.max_degree)
        between = [options.hidden_degree] * (config.num_layers - 1)
        ends = zip([0, *between], [*between, 0], strict=True)
        self.layers = nn.ModuleList(Layer(config, options, *degrees) for degrees in ends)

    def forward(self, graph: AtomicGraph) -> Features:
        """Features of every atom: scalars (N, num_layers * C), vectors (N, 3, C)."""
        edges = Edges(graph, self.basis, self.harmonics)
        groups = ElementGroups(graph.atomic_numbers)
        features = self.embedding(graph)[:, None, :]  # (N, 1, C)
        scalars = []
        for layer in self.layers:
            features, sums = layer(features, edges, graph, groups)
            scalars.append(features[:, 0])
        return Features(scalars=torch.cat(scalars, dim=-1), vectors=sums[:, 1:4])

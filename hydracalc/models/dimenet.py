"""DimeNet++: directional messages [arXiv:2003.03123; Gasteiger et al. 2020, arXiv:2011.14115].

Messages live on edges and are passed on to the edges that follow, weighed by a basis of the length
and of the angle between the two. Periodic images count as atoms of their own, and sums over
neighbors are divided by the root of their typical number; both go beyond the papers.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.embedding import AtomEmbedding
from hydracalc.models.encoder import EncoderConfig, Features
from hydracalc.models.initialization import glorot
from hydracalc.models.radial import BesselBasis
from hydracalc.models.spherical import SphericalBasis
from hydracalc.models.triplets import Triplets, find_triplets

# enough for a force head to choose from, and cheap beside the messages
NUM_VECTORS = 16


@dataclass(frozen=True, kw_only=True)
class DimeNetOptions:
    """What DimeNet++ has beyond the size of every encoder.

    Where no channels are given they keep the proportions of the published model.

    Attributes:
        num_spherical: degrees of the angular basis, L.
        basis_channels: channels that radial and spherical bases are squeezed through.
        interaction_channels: channels of a message while it is passed on, I; None is half of C.
        output_channels: channels of the networks that make features of an atom of its messages;
            None is twice C.
        num_before_skip: residual layers before an interaction block's skip connection.
        num_after_skip: residual layers after it.
        num_output_layers: layers of each of the output networks.
    """

    num_spherical: int = 7
    basis_channels: int = 8
    interaction_channels: int | None = None
    output_channels: int | None = None
    num_before_skip: int = 1
    num_after_skip: int = 2
    num_output_layers: int = 3

    def __post_init__(self) -> None:
        for field in fields(self):
            lowest = 0 if field.name in ("num_before_skip", "num_after_skip") else 1
            value = getattr(self, field.name)
            if value is not None and value < lowest:
                raise ValueError(f"{field.name} is {value}, expected at least {lowest}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """Everything that messages depend on but each other.

    Attributes:
        graph: the edges.
        radial: radial basis of each edge, (E, K).
        triplets: which edge follows which.
        spherical: radial part of the spherical basis of each edge, (E, L, K).
        angular: angular part of the spherical basis of each triplet, (T, L).
    """

    graph: AtomicGraph
    radial: Tensor
    triplets: Triplets
    spherical: Tensor
    angular: Tensor


class EdgeEmbedding(nn.Module):
    """The first message of an edge: its two atoms and its length [arXiv:2003.03123, eq. 9]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.ends = nn.Linear(channels, 2 * channels)
        self.distance = nn.Sequential(
            nn.Linear(config.num_radial, channels),
            nn.SiLU(),
            nn.Linear(channels, channels, bias=False),
        )

    def forward(self, atoms: Tensor, geometry: Geometry) -> Tensor:
        """Embeddings of atoms, (N, C), to messages, (E, C)."""
        graph = geometry.graph
        own, other = self.ends(atoms).chunk(2, dim=-1)  # 2 x (N, C)
        pairs = own.index_select(0, graph.receivers) + other.index_select(0, graph.senders)
        return nn.functional.silu(pairs + self.distance(geometry.radial))  # (E, C)


class Residual(nn.Module):
    """Two layers around which the input passes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, channels), nn.SiLU()
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs plus what the layers make of them, (E, C)."""
        return inputs + self.layers(inputs)


class Interaction(nn.Module):
    """Messages are passed on along triplets [arXiv:2011.14115, Fig. 1, "Interaction"].

    Their x is our messages, e_RBF and a_SBF are the geometry's radial and spherical times angular.
    """

    def __init__(self, config: EncoderConfig, options: DimeNetOptions) -> None:
        super().__init__()
        channels = config.num_channels
        between = options.interaction_channels or max(channels // 2, 1)
        squeezed = options.basis_channels
        self.radial_net = nn.Sequential(
            nn.Linear(config.num_radial, squeezed, bias=False),
            nn.Linear(squeezed, channels, bias=False),
        )
        self.spherical_in = nn.Linear(
            options.num_spherical * config.num_radial, squeezed, bias=False
        )
        self.spherical_out = nn.Linear(squeezed, between, bias=False)
        self.own = nn.Linear(channels, channels)
        self.other = nn.Linear(channels, channels)
        self.down = nn.Linear(channels, between, bias=False)
        self.up = nn.Linear(between, channels, bias=False)
        self.before_skip = nn.Sequential(
            *(Residual(channels) for _ in range(options.num_before_skip))
        )
        self.skip = nn.Linear(channels, channels)
        self.after_skip = nn.Sequential(
            *(Residual(channels) for _ in range(options.num_after_skip))
        )
        self.scale = config.num_neighbors**-0.5

    def forward(self, messages: Tensor, geometry: Geometry) -> Tensor:
        """Messages, (E, C), to the next messages, (E, C)."""
        silu = nn.functional.silu
        sent = silu(self.other(messages)) * self.radial_net(geometry.radial)  # zero at the cutoff
        sent = silu(self.down(sent))  # (E, I)
        triplets = geometry.triplets
        passed = sent.index_select(0, triplets.incoming) * self._filters(geometry)  # (T, I)
        heard = triplets.sum_to_outgoing(passed) * self.scale  # (E, I)
        hidden = self.before_skip(silu(self.own(messages)) + silu(self.up(heard)))  # (E, C)
        return self.after_skip(silu(self.skip(hidden)) + messages)  # (E, C)

    def _filters(self, geometry: Geometry) -> Tensor:
        """What distance and angle let through, (T, I)."""
        weight = self.spherical_in.weight.unflatten(-1, geometry.spherical.shape[1:])  # (B, L, K)
        # radial functions are mixed edge by edge: a triplet then has B L numbers, not L K
        squeezed = torch.einsum("elk,blk->ebl", geometry.spherical, weight)
        of_triplet = squeezed.index_select(0, geometry.triplets.incoming)  # (T, B, L)
        return self.spherical_out((of_triplet * geometry.angular[:, None, :]).sum(dim=-1))


class Output(nn.Module):
    """Messages that reach an atom become its features [arXiv:2011.14115, Fig. 1, "Output"]."""

    def __init__(self, config: EncoderConfig, options: DimeNetOptions) -> None:
        super().__init__()
        channels = config.num_channels
        wide = options.output_channels or 2 * channels
        self.radial_filter = nn.Linear(config.num_radial, channels, bias=False)
        layers: list[nn.Module] = [nn.Linear(channels, wide, bias=False)]
        for _ in range(options.num_output_layers):
            layers += [nn.Linear(wide, wide), nn.SiLU()]
        self.atom_net = nn.Sequential(*layers, nn.Linear(wide, channels, bias=False))
        self.scale = config.num_neighbors**-0.5

    def forward(self, messages: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
        """Features of atoms, (N, C), and the filtered messages they were made of, (E, C)."""
        weighed = self.radial_filter(geometry.radial) * messages  # (E, C), zero at the cutoff
        heard = geometry.graph.sum_to_receivers(weighed) * self.scale  # (N, C)
        return self.atom_net(heard), weighed


class DimeNetPlusPlus(nn.Module):
    """Blocks of directional messages, each of which adds to the features of atoms.

    Unlike the paper's, the features of an atom begin with its embedding, so that an ion without
    neighbors is told from a neutral atom. The messages are scalars; for heads that give forces
    without a derivative, the last ones are also summed as vectors.
    """

    def __init__(self, config: EncoderConfig, options: DimeNetOptions | None = None) -> None:
        super().__init__()
        options = options or DimeNetOptions()
        self.num_channels = config.num_channels
        self.num_vectors = NUM_VECTORS
        self.embedding = AtomEmbedding(config.num_channels)
        self.basis = BesselBasis(config.num_radial, config.cutoff)
        self.spherical = SphericalBasis(options.num_spherical, config.num_radial, config.cutoff)
        self.edge_embedding = EdgeEmbedding(config)
        self.interactions = nn.ModuleList(
            Interaction(config, options) for _ in range(config.num_layers)
        )
        self.outputs = nn.ModuleList(Output(config, options) for _ in range(config.num_layers + 1))
        self.steer = nn.Linear(config.num_channels, self.num_vectors, bias=False)
        self.apply(glorot)
        self.scale = config.num_neighbors**-0.5

    def forward(self, graph: AtomicGraph) -> Features:
        """Features of every atom: scalars (N, C), vectors (N, 3, C')."""
        assert graph.edge_vectors is not None
        assert graph.edge_lengths is not None
        directions = graph.edge_vectors / graph.edge_lengths[:, None]  # (E, 3)
        triplets = find_triplets(graph)
        geometry = Geometry(
            graph=graph,
            radial=self.basis(graph.edge_lengths),
            triplets=triplets,
            spherical=self.spherical.radial(graph.edge_lengths),
            angular=self.spherical.angular(triplets.cosines(directions)),
        )
        atoms = self.embedding(graph)  # (N, C)
        messages = self.edge_embedding(atoms, geometry)  # (E, C)
        found, weighed = self.outputs[0](messages, geometry)
        scalars = atoms + found
        for interaction, output in zip(self.interactions, self.outputs[1:], strict=True):
            messages = interaction(messages, geometry)
            found, weighed = output(messages, geometry)
            scalars = scalars + found
        pulls = self.steer(weighed)[:, None, :] * directions[:, :, None]  # (E, 3, C')
        return Features(scalars=scalars, vectors=graph.sum_to_receivers(pulls) * self.scale)

"""DimeNet++ against torch_geometric's, weights copied over and both run live."""

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from builders import rattled
from peers import ask, copy
from torch_geometric.nn.models import dimenet as peer_module

from hydracalc.graphs.collate import collate
from hydracalc.models.dimenet import DimeNetOptions, DimeNetPlusPlus
from hydracalc.models.encoder import EncoderConfig
from hydracalc.models.radial import ENVELOPE_EXPONENT
from hydracalc.models.triplets import find_triplets
from hydracalc.structure import from_atoms

CONFIG = EncoderConfig(cutoff=4.0, num_channels=12, num_layers=2, num_radial=4, num_neighbors=1)
OPTIONS = DimeNetOptions(
    num_spherical=4,
    basis_channels=5,
    interaction_channels=7,
    output_channels=9,
    num_before_skip=1,
    num_after_skip=2,
    num_output_layers=2,
)
INTERACTION = {
    "radial_net.0": "lin_rbf1",
    "radial_net.1": "lin_rbf2",
    "spherical_in": "lin_sbf1",
    "spherical_out": "lin_sbf2",
    "own": "lin_ji",
    "other": "lin_kj",
    "down": "lin_down",
    "up": "lin_up",
    "skip": "lin",
    "before_skip.0.layers.0": "layers_before_skip.0.lin1",
    "before_skip.0.layers.2": "layers_before_skip.0.lin2",
    "after_skip.0.layers.0": "layers_after_skip.0.lin1",
    "after_skip.0.layers.2": "layers_after_skip.0.lin2",
    "after_skip.1.layers.0": "layers_after_skip.1.lin1",
    "after_skip.1.layers.2": "layers_after_skip.1.lin2",
}
OUTPUT = {
    "radial_filter": "lin_rbf",
    "atom_net.0": "lin_up",
    "atom_net.1": "lins.0",
    "atom_net.3": "lins.1",
    "atom_net.5": "lin",
}
# their radial basis is (c/d) u(d) sin(n pi d/c), ours sqrt(2) u(d) sin(n pi d/c) / d
RADIAL = CONFIG.cutoff / 2**0.5


@pytest.fixture(scope="module")
def peer():
    made = peer_module.DimeNetPlusPlus(
        hidden_channels=CONFIG.num_channels,
        out_channels=CONFIG.num_channels,
        num_blocks=CONFIG.num_layers,
        int_emb_size=OPTIONS.interaction_channels,
        basis_emb_size=OPTIONS.basis_channels,
        out_emb_channels=OPTIONS.output_channels,
        num_spherical=OPTIONS.num_spherical,
        num_radial=CONFIG.num_radial,
        cutoff=CONFIG.cutoff,
        envelope_exponent=ENVELOPE_EXPONENT - 1,  # they add one
        num_before_skip=OPTIONS.num_before_skip,
        num_after_skip=OPTIONS.num_after_skip,
        num_output_layers=OPTIONS.num_output_layers,
    )
    generator = torch.Generator().manual_seed(0)
    for name, parameter in made.named_parameters():
        if name != "rbf.freq":
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return made.double()


def renamed(module, names, theirs, radial):
    """Values for our module's parameters; weights on the radial basis carry its prefactor."""
    values = {}
    for name in dict(module.named_parameters()):
        ours, _, kind = name.rpartition(".")
        values[name] = theirs[f"{names[ours]}.{kind}"] * (RADIAL if ours == radial else 1)
    return values


def of_embedding(theirs):
    """Our embedding block acts on atoms first and adds what it makes of them edge by edge."""
    channels = CONFIG.num_channels
    own, other, distance = theirs["lin.weight"].split(channels, dim=1)
    return {
        "ends.weight": torch.cat([own, other]),
        "ends.bias": torch.cat([theirs["lin.bias"], torch.zeros(channels)]),
        "distance.0.weight": theirs["lin_rbf.weight"] * RADIAL,
        "distance.0.bias": theirs["lin_rbf.bias"],
        "distance.2.weight": distance,
    }


@pytest.fixture
def encoder(peer, monkeypatch):
    encoder = DimeNetPlusPlus(CONFIG, OPTIONS).double()
    encoder.embedding.element.weight.data[:95] = peer.emb.emb.weight
    copy(dict(encoder.edge_embedding.named_parameters()), of_embedding(peer.emb.state_dict()))
    for ours, theirs in zip(encoder.interactions, peer.interaction_blocks, strict=True):
        values = renamed(ours, INTERACTION, theirs.state_dict(), "radial_net.0")
        copy(dict(ours.named_parameters()), values)
    for ours, theirs in zip(encoder.outputs, peer.output_blocks, strict=True):
        values = renamed(ours, OUTPUT, theirs.state_dict(), "radial_filter")
        copy(dict(ours.named_parameters()), values)
    radial = encoder.spherical.radial

    def divided(lengths):
        """Their code divides the spherical basis by d/c, the paper does not."""
        return radial(lengths) * (CONFIG.cutoff / lengths)[:, None, None]

    monkeypatch.setattr(encoder.spherical, "radial", divided)
    return encoder


def ask_peer(peer, atoms, monkeypatch):
    """Their forward with our edges and triplets: theirs need compiled packages."""
    graph = collate([from_atoms(atoms)], CONFIG.cutoff)
    found = find_triplets(graph)
    i, j = graph.receivers, graph.senders
    ends = i[found.outgoing], j[found.outgoing], j[found.incoming]
    triplets = (i, j, *ends, found.incoming, found.outgoing)
    monkeypatch.setattr(peer_module, "radius_graph", lambda *_, **__: torch.stack([j, i]))
    monkeypatch.setattr(peer_module, "triplets", lambda *_, **__: triplets)
    positions = graph.positions.clone().requires_grad_()
    scalars = peer(graph.atomic_numbers, positions, torch.arange(graph.num_atoms))
    (gradient,) = torch.autograd.grad(scalars.sum(), positions)
    return {"scalars": scalars.detach(), "energy": scalars.detach().sum(), "forces": -gradient}


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_scalars_energy_and_forces_equal_torch_geometric(peer, encoder, monkeypatch, dtype, limit):
    """To the rounding of the Bessel functions' roots, which torch_geometric keeps in float32."""
    atoms = rattled(molecule("CH3CH2OH"), 1)
    expected = ask_peer(peer, atoms, monkeypatch)
    got = ask(encoder, atoms, CONFIG.cutoff, dtype=dtype)
    embedding = encoder.embedding.element.weight[atoms.numbers].detach()  # only ours has it
    got["scalars"] = got["scalars"] - embedding
    got["energy"] = got["energy"] - embedding.sum()
    for name, value in expected.items():
        scale = value.abs().max().item()
        torch.testing.assert_close(
            got[name].double(), value, atol=limit * scale, rtol=limit, msg=name
        )


def test_angles_are_seen():
    """Two molecules with the same two distances, all other pairs beyond the cutoff."""
    config = EncoderConfig(cutoff=2.0, num_channels=8, num_layers=1, num_radial=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = DimeNetPlusPlus(config).double()
    bent, straight = (
        Atoms("OCO", [[1.5, 0, 0], [0, 0, 0], end]) for end in ([0, 1.5, 0], [-1.5, 0, 0])
    )
    energies = [ask(encoder, a, 2.0, dtype=torch.float64)["energy"] for a in (bent, straight)]
    assert abs(energies[0] - energies[1]) > 1e-6


def test_a_straight_molecule_has_finite_second_derivatives():
    """Where an angle is taken by atan2, its gradient is undefined at 0 and 180 degrees."""
    encoder = DimeNetPlusPlus(EncoderConfig(num_channels=8, num_layers=1, num_radial=4)).double()
    graph = collate([from_atoms(a) for a in (molecule("CO2"), bulk("Si"))], 5.0)
    vectors = graph.displacements().requires_grad_()
    energy = encoder(graph.with_edge_vectors(vectors)).scalars.square().sum()
    (slope,) = torch.autograd.grad(energy, vectors, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum(), vectors)
    assert torch.isfinite(curvature).all()
    assert curvature.abs().max() > 0


def test_options_that_make_no_network_are_refused():
    assert DimeNetOptions(num_before_skip=0).num_before_skip == 0
    with pytest.raises(ValueError, match="basis_channels is 0, expected at least 1"):
        DimeNetOptions(basis_channels=0)
    with pytest.raises(ValueError, match="num_after_skip is -1, expected at least 0"):
        DimeNetOptions(num_after_skip=-1)

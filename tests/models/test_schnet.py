"""SchNet against SchNetPack's: weights copied over, outputs stored by parity/make_schnetpack.py."""

import pytest
import torch
from ase import Atoms
from peers import PeerBasis, ask, copy, cosine_cutoff, stored

from hydracalc.models import schnet
from hydracalc.models.encoder import EncoderConfig
from hydracalc.models.schnet import SchNet

PEER = stored("schnet")
OURS = {
    "neighbor_net": "in2f",
    "filter_net.0": "filter_network.0",
    "filter_net.2": "filter_network.1",
    "update_net.0": "f2out.0",
    "update_net.2": "f2out.1",
}


@pytest.fixture
def encoder(monkeypatch):
    """Ours with the peer's weights, basis and cutoff, and sums that are not normalized."""
    monkeypatch.setattr(schnet, "envelope", cosine_cutoff)
    weights = PEER.weights
    num_elements, channels = weights["embedding.weight"].shape
    encoder = SchNet(
        EncoderConfig(
            cutoff=PEER.cutoff,
            num_channels=channels,
            num_layers=2,
            num_radial=len(weights["radial_basis.offsets"]),
            num_neighbors=1,
        )
    ).double()
    encoder.basis = PeerBasis(PEER, enveloped=False)
    encoder.embedding.element.weight.data[:num_elements] = weights["embedding.weight"]
    for index, layer in enumerate(encoder.layers):
        parameters = dict(layer.named_parameters())
        names = {}
        for name in parameters:
            ours, _, kind = name.rpartition(".")
            names[name] = weights[f"interactions.{index}.{OURS[ours]}.{kind}"]
        copy(parameters, names)
    return encoder


@pytest.mark.parametrize("structure", PEER.structures)
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_scalars_energy_and_forces_equal_schnetpack(encoder, structure, dtype, limit):
    got = ask(encoder, PEER.structures[structure], PEER.cutoff, dtype=dtype)
    for name in ("scalars", "energy", "forces"):
        expected = PEER.outputs[structure][name]
        torch.testing.assert_close(got[name].double(), expected, atol=limit, rtol=limit)


def test_vectors_point_along_a_bond_and_vanish_at_the_cutoff():
    config = EncoderConfig(num_channels=8, num_layers=1, num_radial=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = SchNet(config)
    sizes = []
    for distance in (1.5, config.cutoff - 1e-2, config.cutoff + 1e-2):
        pair = Atoms("CO", [[0, 0, 0], [0, distance, 0]])
        vectors = ask(encoder, pair, config.cutoff, dtype=torch.float64)["vectors"]
        assert vectors.shape == (2, 3, encoder.num_vectors)
        assert vectors[:, [0, 2]].abs().max() == 0
        sizes.append(vectors.abs().max().item())
    assert sizes[0] > 1e-3
    assert sizes[1] < 1e-5 * sizes[0]
    assert sizes[2] == 0

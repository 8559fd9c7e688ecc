"""PaiNN against SchNetPack's: weights copied over, outputs stored by parity/make_schnetpack.py."""

import pytest
import torch
from peers import PeerBasis, ask, copy, stored

from hydracalc.models import painn
from hydracalc.models.encoder import EncoderConfig
from hydracalc.models.painn import PaiNN

PEER = stored("painn")
PEER_NORM_FLOOR = 1e-8


def of_message(index):
    """Parameters of a message as ours name them; the filter's bias belongs to the last function."""
    weights, channels = PEER.weights, PEER.weights["embedding.weight"].shape[1]
    rows = slice(3 * channels * index, 3 * channels * (index + 1))
    bias = weights["filter_net.bias"][rows, None]
    peers = f"interactions.{index}.interatomic_context_net"
    return {
        "neighbor_net.0.weight": weights[f"{peers}.0.weight"],
        "neighbor_net.0.bias": weights[f"{peers}.0.bias"],
        "neighbor_net.2.weight": weights[f"{peers}.1.weight"],
        "neighbor_net.2.bias": weights[f"{peers}.1.bias"],
        "radial_filter.weight": torch.cat([weights["filter_net.weight"][rows], bias], dim=1),
    }


def of_update(index):
    """Parameters of an update; of its blocks, the peer has the measured and the stretch first."""
    weights, peers = PEER.weights, f"mixing.{index}"
    measured, turned = weights[f"{peers}.mu_channel_mix.weight"].chunk(2)
    found = {"mix.weight": torch.cat([turned, measured])}
    for kind in ("weight", "bias"):
        shift, stretch, product = weights[f"{peers}.intraatomic_context_net.1.{kind}"].chunk(3)
        found[f"gate_net.0.{kind}"] = weights[f"{peers}.intraatomic_context_net.0.{kind}"]
        found[f"gate_net.2.{kind}"] = torch.cat([shift, product, stretch])
    return found


@pytest.fixture
def encoder(monkeypatch):
    """Ours with the peer's weights, basis and norm, and sums that are not normalized."""
    monkeypatch.setattr(painn, "_NORM_FLOOR", PEER_NORM_FLOOR)
    num_elements, channels = PEER.weights["embedding.weight"].shape
    encoder = PaiNN(
        EncoderConfig(
            cutoff=PEER.cutoff,
            num_channels=channels,
            num_layers=2,
            num_radial=len(PEER.weights["radial_basis.offsets"]) + 1,
            num_neighbors=1,
        )
    ).double()
    encoder.basis = PeerBasis(PEER, enveloped=True)
    encoder.embedding.element.weight.data[:num_elements] = PEER.weights["embedding.weight"]
    for index in range(2):
        copy(dict(encoder.messages[index].named_parameters()), of_message(index))
        copy(dict(encoder.updates[index].named_parameters()), of_update(index))
    return encoder


@pytest.mark.parametrize("structure", PEER.structures)
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_features_energy_and_forces_equal_schnetpack(encoder, structure, dtype, limit):
    got = ask(encoder, PEER.structures[structure], PEER.cutoff, dtype=dtype)
    for name in ("scalars", "vectors", "energy", "forces"):
        expected = PEER.outputs[structure][name]
        scale = expected.abs().max().item()
        torch.testing.assert_close(
            got[name].double(), expected, atol=limit * scale, rtol=limit, msg=name
        )

"""What public implementations say of stored structures, and the same asked of our encoders."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from ase import Atoms
from safetensors import safe_open
from torch import nn

from hydracalc.graphs.collate import collate
from hydracalc.structure import from_atoms

FOLDER = Path(__file__).parent / "models" / "parity"


@dataclass(frozen=True, eq=False)
class Peer:
    """A file of tests/models/parity: weights, structures, and the outputs by structure."""

    weights: dict
    cutoff: float
    structures: dict
    outputs: dict


def stored(name):
    with safe_open(FOLDER / f"{name}.safetensors", "pt") as file:
        about = file.metadata()
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    groups = {group: {} for group in ("weights", *about["structures"].split())}
    for key, value in arrays.items():
        group, _, rest = key.partition(".")
        groups[group][rest] = value
    weights = groups.pop("weights")
    structures = {
        key: Atoms(**{name: each[name].numpy() for name in ("numbers", "positions", "cell", "pbc")})
        for key, each in groups.items()
    }
    return Peer(weights, float(about["cutoff"]), structures, groups)


def gaussians(peer, lengths):
    """SchNetPack's radial basis, (E, K)."""
    offsets, widths = (
        peer.weights[f"radial_basis.{name}"].to(lengths.dtype) for name in ("offsets", "widths")
    )
    return torch.exp(-((lengths[:, None] - offsets) ** 2) / (2 * widths**2))


def cosine_cutoff(lengths, cutoff):
    """SchNetPack's envelope, (E,)."""
    return torch.where(lengths < cutoff, (torch.cos(lengths * torch.pi / cutoff) + 1) / 2, 0.0)


def copy(parameters, values):
    """Put values into parameters, all of a shape; `values` has a key for each."""
    assert set(parameters) == set(values)
    with torch.no_grad():
        for name, parameter in parameters.items():
            assert parameter.shape == values[name].shape, name
            parameter.copy_(values[name])


def ask(encoder, atoms, cutoff, *, dtype):
    """Features of an encoder, the sum of its scalars and minus the gradient of that."""
    graph = collate([from_atoms(atoms)], cutoff)
    positions = graph.positions.clone().requires_grad_()
    graph = replace(graph, positions=positions)
    features = encoder.to(dtype)(graph.with_edge_vectors(graph.displacements().to(dtype)))
    energy = features.scalars.sum()
    (gradient,) = torch.autograd.grad(energy, positions)
    found = {"scalars": features.scalars, "vectors": features.vectors, "energy": energy}
    return {name: value.detach() for name, value in found.items()} | {"forces": -gradient}


class PeerBasis(nn.Module):
    """SchNetPack's Gaussians in the place of our basis; as a last function, the cutoff itself."""

    def __init__(self, peer, *, enveloped):
        super().__init__()
        self.peer, self.enveloped = peer, enveloped

    def forward(self, lengths):
        basis = gaussians(self.peer, lengths)
        if not self.enveloped:
            return basis
        cutoff = cosine_cutoff(lengths, self.peer.cutoff)[:, None]
        return torch.cat([basis * cutoff, cutoff], dim=-1)

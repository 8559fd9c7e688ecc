"""MACE computes what mace-torch computes with the same weights.

The numbers are of parity/make_mace.py.
"""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from e3nn import o3
from safetensors import safe_open

from hydracalc.graphs.collate import collate
from hydracalc.models import mace_basis
from hydracalc.models.encoder import EncoderConfig
from hydracalc.models.mace import MACE, MACEOptions
from hydracalc.structure import from_atoms

PARITY = Path(__file__).parent / "parity" / "mace.safetensors"


@pytest.mark.parametrize(("order", "result"), list(product((1, 2, 3), (0, 1))))
def test_products_span_what_the_published_couplings_span(order, result):
    """Every coupling is a sum of ours; ours are independent, so no weight is idle."""
    ours = own_products(order, result)
    theirs = published_products(order, result)
    _, residual, rank = solve(ours, theirs)
    assert residual < 1e-12
    assert rank == len(ours) == np.linalg.matrix_rank(flat(theirs, theirs), tol=1e-9)


def own_products(order, result):
    basis = mace_basis.product_basis(3, 3, result)
    return [p for p, own in zip(basis.polynomials, basis.orders, strict=True) if own == order]


def flat(polynomials, others):
    """Coefficients of polynomials for every monomial of the others."""
    monomials = sorted({monomial for terms in others for monomial in terms})
    zero = np.zeros_like(next(iter(others[0].values())))
    rows = [[terms.get(monomial, zero) for monomial in monomials] for terms in polynomials]
    return np.array(rows).reshape(len(rows), -1)


def solve(ours, theirs):
    """Weights with theirs = weights @ ours, the largest error of that, and the rank of ours."""
    known, wanted = flat(ours, ours + theirs), flat(theirs, ours + theirs)
    weights, _, rank, _ = np.linalg.lstsq(known.T, wanted.T, rcond=1e-10)
    return weights.T, np.abs(weights.T @ known - wanted).max(), rank


def published_products(order, result, signs=None):
    """Iterated couplings in mace-torch's order, without cuequivariance: all orders of factors.

    Each stage couples every tensor so far, sorted by irreducible representation, with each degree.
    """
    signs = np.ones((10, 10, 10)) if signs is None else signs.numpy()

    def symbol(left, right, out):
        """Their Wigner 3j symbol, the result first, times the root of its size."""
        scale = signs[out, left, right] * ((2 * out + 1) / (2 * right + 1)) ** 0.5
        return scale * mace_basis.coupling(out, left, right)

    natural = [o3.Irrep(degree, (-1) ** degree) for degree in range(4)]
    stages = [(each, (each.l,), np.eye(each.dim)) for each in natural]
    for _ in range(order - 1):
        grown = [
            (
                out,
                (*degrees, right.l),
                np.einsum("tib,i...->t...b", symbol(left.l, right.l, out.l), tensor),
            )
            for left, degrees, tensor in stages
            for right in natural
            for out in left * right
        ]
        stages = sorted(grown, key=lambda stage: stage[0])
    found = [stage[1:] for stage in stages if stage[0] == natural[result]]
    return [mace_basis.polynomial(degrees, tensor) for degrees, tensor in found]


@pytest.fixture(scope="module")
def published():
    with safe_open(PARITY, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["settings"])


@pytest.fixture(params=[(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=["64", "32"])
def tolerance(request):
    """Relative error allowed, and the type in which constants are made as in mace-torch."""
    dtype, allowed = request.param
    torch.set_default_dtype(dtype)
    yield allowed
    torch.set_default_dtype(torch.float32)


def with_published_weights(tensors, settings):
    """MACE with mace-torch's weights; e3nn keeps them before normalization, here they are after."""
    options = MACEOptions(
        max_degree=settings["max_ell"],
        correlation=settings["correlation"],
        radial_widths=tuple(settings["radial_MLP"]),
    )
    config = EncoderConfig(
        cutoff=settings["cutoff"],
        num_channels=8,
        num_layers=settings["num_interactions"],
        num_radial=settings["num_bessel"],
        num_neighbors=settings["avg_num_neighbors"],
    )
    encoder = MACE(config, options)
    numbers = settings["numbers"]
    dtype = encoder.embedding.element.weight.dtype
    tensors = {name: value.to(dtype) for name, value in tensors.items()}
    with torch.no_grad():
        embedding = tensors["node_embedding.linear.weight"].view(len(numbers), 8)
        encoder.embedding.element.weight[numbers] = embedding / len(numbers) ** 0.5
        for index, layer in enumerate(encoder.layers):
            own = {
                name.split(".", 2)[2]: value
                for name, value in tensors.items()
                if name.startswith((f"interactions.{index}.", f"products.{index}."))
            }
            linear = tensors[f"products.{index}.linear.weight"]
            copy_degrees(layer.mix, linear)
            copy_degrees(layer.convolution.mix_senders, own["linear_up.weight"])
            message = tensors[f"interactions.{index}.linear.weight"]
            copy_degrees(layer.convolution.mix_messages, message)
            copy_radial(layer.convolution, own, tensors, config.cutoff)
            skip = own["skip_tp.weight"].view(-1, 8, len(numbers), 8)
            for table, given in zip(layer.skip.maps, skip, strict=True):
                table[numbers] = given.transpose(0, 1) / (8 * len(numbers)) ** 0.5
            copy_products(layer.contraction, own, numbers, tensors["coupling_signs"])
    return encoder


def copy_degrees(ours, weights):
    """Matrices of all degrees, one after another."""
    sizes = [linear.weight.numel() for linear in ours.maps]
    for linear, given in zip(ours.maps, weights.split(sizes), strict=True):
        width = linear.in_features
        linear.weight.copy_((given.view(width, -1) / width**0.5).T)


def copy_radial(ours, own, tensors, cutoff):
    """Our radial functions are larger by the root of the cutoff; e3nn multiplies every SiLU."""
    for place, linear in enumerate(ours.radial_net[::2]):
        given = own[f"conv_tp_weights.layer{place}.weight"]
        factor = tensors["silu_gain"] if place else cutoff**-0.5
        linear.weight.copy_((given * factor / len(given) ** 0.5).T)
    for path, weight in zip(ours.paths, linear.weight.split(ours.channels), strict=True):
        weight *= tensors["coupling_signs"][path.sender, path.harmonic, path.message]


def copy_products(ours, own, numbers, signs):
    """Weights of dependent couplings, summed into those of independent ones."""
    for degree, contraction in enumerate(ours.contractions):
        prefix = f"symmetric_contractions.contractions.{degree}."
        parts = []
        for order, name in ((1, "weights.1"), (2, "weights.0"), (3, "weights_max")):
            theirs = published_products(order, degree, signs)
            mixing = solve(own_products(order, degree), theirs)[0]  # (theirs, ours)
            weights = own[prefix + name].double()
            parts.append(torch.einsum("zpc,pq->zqc", weights, torch.from_numpy(mixing)))
        table = contraction.weights
        table[numbers] = torch.cat(parts, dim=1).to(table.dtype)


def published_energy(features, tensors):
    """mace-torch's readouts: linear after the first layer, a network after the second."""
    gain = tensors["silu_gain"]
    first, hidden, last = (
        tensors[f"readouts.{name}.weight"] for name in ("0.linear", "1.linear_1", "1.linear_2")
    )
    own, other = (part[:, 0] for part in features)
    hidden = torch.nn.functional.silu(other @ hidden.view(8, 5).to(other) / 8**0.5) * gain
    energies = own @ first.to(own) / 8**0.5 + hidden @ last.to(own) / 5**0.5
    return energies.sum()


def as_published(features):
    """e3nn's layout; their edges point to the receiver, ours from it: odd degrees change sign."""
    return torch.cat([features[:, 0], -features[:, 1:].transpose(1, 2).flatten(1)], dim=1)


@pytest.mark.parametrize("name", ["molecule", "crystal"])
def test_mace_torch_gives_the_same_features_energy_and_forces(published, tolerance, name):
    encoder = with_published_weights(*published)
    assert max(errors(encoder, *published, name)) < tolerance


def test_the_comparison_sees_products_of_three(published):
    """The test of the test: without them the published numbers are far away."""
    tensors, settings = published
    without = {key: value * ("weights_max" not in key) for key, value in tensors.items()}
    encoder = with_published_weights(without, settings)
    assert min(errors(encoder, tensors, settings, "molecule")) > 0.1


def errors(encoder, tensors, settings, name):
    """Relative errors of both layers' features, energy and forces of a structure of the file."""
    numbers, positions, cell, pbc = (
        tensors[f"{name}.{key}"].numpy() for key in ("numbers", "positions", "cell", "pbc")
    )
    atoms = Atoms(numbers, positions, cell=cell, pbc=pbc)
    graph = collate([from_atoms(atoms)], settings["cutoff"])
    graph.positions.requires_grad_()
    dtype = encoder.embedding.element.weight.dtype
    graph = graph.with_edge_vectors(graph.displacements().to(dtype))
    features = layer_features(encoder, graph)
    energy = published_energy(features, tensors)
    (gradient,) = torch.autograd.grad(energy, graph.positions)
    got = *(as_published(part) for part in features), energy, -gradient
    expected = [
        tensors[f"{name}.{key}"] for key in ("features.0", "features.1", "energy", "forces")
    ]
    return [
        ((a - b).abs().max() / b.abs().max()).item() for a, b in zip(got, expected, strict=True)
    ]


def layer_features(encoder, graph):
    """Features after each layer, (N, d, C)."""
    found = []
    hooks = [
        layer.register_forward_hook(lambda _module, _inputs, output: found.append(output[0]))
        for layer in encoder.layers
    ]
    encoder(graph)
    for hook in hooks:
        hook.remove()
    return found

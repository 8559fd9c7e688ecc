"""MACE: what symmetry and training demand of it."""

import copy
import importlib
import pickle
import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from e3nn import o3

from hydracalc.graphs.collate import collate
from hydracalc.models import mace_basis
from hydracalc.models.encoder import EncoderConfig
from hydracalc.models.mace import MACE, MACEOptions
from hydracalc.structure import from_atoms

SMALL = EncoderConfig(cutoff=4.0, num_channels=4, num_layers=2, num_radial=4, num_neighbors=8)


def make(options=None, config=SMALL, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return MACE(config, options).to(dtype)


def graph_of(*structures, cutoff=SMALL.cutoff, dtype=torch.float64):
    graph = collate([from_atoms(atoms) for atoms in structures], cutoff)
    return graph.with_edge_vectors(graph.displacements().to(dtype))


def rattled_ethanol():
    atoms = molecule("CH3CH2OH")
    atoms.positions += np.random.default_rng(0).normal(0, 0.1, atoms.positions.shape)
    return atoms


def random_turn(seed, improper=False):
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix)) * (-1 if improper else 1)


OPTIONS = [
    MACEOptions(),
    MACEOptions(max_degree=1, hidden_degree=0, correlation=1),
    MACEOptions(max_degree=2, hidden_degree=2, correlation=2, radial_widths=()),
    MACEOptions(max_degree=4, hidden_degree=3, correlation=3, radial_widths=(5,)),
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"{o.max_degree}{o.correlation}")
@pytest.mark.parametrize("improper", [False, True])
def test_scalars_stay_and_vectors_turn_with_the_structure(options, improper):
    """Also after float32, whose couplings are only seven digits long."""
    encoder = make(options).to(torch.float32).to(torch.float64)
    turn, atoms = random_turn(2, improper), rattled_ethanol()
    before = encoder(graph_of(atoms))
    atoms.positions = atoms.positions @ turn.T
    after = encoder(graph_of(atoms))
    turned = torch.einsum("xy,nyc->nxc", torch.from_numpy(turn), before.vectors)
    torch.testing.assert_close(after.scalars, before.scalars, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(after.vectors, turned, atol=1e-12, rtol=1e-12)
    assert before.scalars.shape == (9, 2 * 4)
    assert before.vectors.shape == (9, 3, encoder.num_vectors)
    assert before.vectors.abs().max() > 1e-2


def test_features_between_layers_turn_as_harmonics_of_their_degree():
    encoder, atoms = make(MACEOptions(max_degree=3, hidden_degree=3)), rattled_ethanol()
    turn = random_turn(4)
    found = []
    encoder.layers[0].register_forward_hook(lambda _layer, _inputs, output: found.append(output[0]))
    encoder(graph_of(atoms))
    atoms.positions = atoms.positions @ turn.T
    encoder(graph_of(atoms))
    before, after = found
    sizes = mace_basis.degree_sizes(3)
    pairs = zip(before.split(sizes, dim=1), after.split(sizes, dim=1), strict=True)
    for degree, (given, turned) in enumerate(pairs):
        matrix = o3.Irrep(degree, 1).D_from_matrix(torch.from_numpy(turn))
        expected = torch.einsum("ab,nbc->nac", matrix.to(given), given)
        torch.testing.assert_close(turned, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"{o.max_degree}{o.correlation}")
def test_the_split_monomials_are_the_polynomials(options):
    """Values from the table for fast evaluation against a plain sum over monomials."""
    num_factors = (options.max_degree + 1) ** 2
    values = np.append(np.random.default_rng(0).normal(size=num_factors), 1.0)
    for degree in range(options.hidden_degree + 1):
        basis = mace_basis.product_basis(options.max_degree, options.correlation, degree)
        products = values[basis.leading].prod(axis=0)
        fast = np.einsum("pmdk,d,k->pm", basis.coefficients, values[:-1], products)
        plain = [
            sum(c * values[list(m)].prod() for m, c in terms.items()) for terms in basis.polynomials
        ]
        np.testing.assert_allclose(fast, plain, rtol=1e-12, atol=1e-12)


def test_a_sign_that_another_e3nn_chooses_changes_no_product(monkeypatch):
    expected = mace_basis.product_basis(3, 3, 1).coefficients
    symbols = o3.wigner_3j
    other = lambda *degrees, **options: -symbols(*degrees, **options)  # noqa: E731
    monkeypatch.setattr(mace_basis.o3, "wigner_3j", other)
    got = mace_basis.product_basis.__wrapped__(3, 3, 1).coefficients
    np.testing.assert_array_equal(got, expected)


def test_the_gradient_of_a_loss_on_forces_equals_finite_differences():
    """What training on forces needs: derivatives of derivatives, of every parameter."""
    encoder, atoms = make(), bulk("NaCl", "rocksalt", a=4.6)
    atoms.positions[1] += (0.1, 0.2, -0.15)
    graph = collate([from_atoms(atoms), from_atoms(rattled_ethanol())], SMALL.cutoff)
    graph.positions.requires_grad_()

    def loss():
        features = encoder(graph.with_edge_vectors(graph.displacements()))
        energy = features.scalars.square().sum() + features.vectors.square().sum()
        (gradient,) = torch.autograd.grad(energy, graph.positions, create_graph=True)
        return gradient.square().sum()

    parameters = list(encoder.parameters())
    gradients = torch.autograd.grad(loss(), parameters, materialize_grads=True)
    generator = torch.Generator().manual_seed(3)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        step, values = 1e-5, []
        for sign in (1, -1):
            parameter.data += sign * step * direction
            values.append(loss().item())
            parameter.data -= sign * step * direction
        slope = (values[0] - values[1]) / (2 * step)
        expected = (gradient * direction).sum().item()
        assert slope == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_an_isolated_atom_has_the_features_of_its_element_alone():
    encoder = make()
    far = Atoms("OHO", [[0, 0, 0], [50, 0, 0], [0, 50, 0]])
    features = encoder(graph_of(far))
    assert features.scalars.abs().max() > 0
    assert torch.equal(features.scalars[0], features.scalars[2])
    assert not torch.allclose(features.scalars[0], features.scalars[1])
    assert torch.equal(features.vectors, torch.zeros_like(features.vectors))


def test_charge_and_spin_reach_the_features():
    encoder, atoms = make(), rattled_ethanol()
    torch.nn.init.normal_(encoder.embedding.charge.weight)
    neutral = encoder(graph_of(atoms)).scalars
    atoms.info["charge"] = 1
    assert (encoder(graph_of(atoms)).scalars - neutral).abs().min() > 1e-6


def test_the_state_holds_parameters_and_nothing_else():
    encoder = make()
    assert set(encoder.state_dict()) == {name for name, _ in encoder.named_parameters()}


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_computes_the_same(clone):
    encoder, graph = make(), graph_of(rattled_ethanol())
    assert torch.equal(clone(encoder)(graph).scalars, encoder(graph).scalars)


def test_bfloat16_products_keep_the_couplings_exact():
    """Under autocast features lose digits; what couples them does not."""
    config = EncoderConfig(cutoff=4.0, num_channels=32, num_layers=2)
    encoder, atoms = make(config=config, dtype=torch.float32), rattled_ethanol()
    graph = graph_of(atoms, dtype=torch.float32)
    exact = encoder(graph).scalars
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(graph).scalars
    assert rough.shape == exact.shape
    assert 0 < (rough - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_degree": 5}, "max_degree is 5, expected 1 to 4"),
        ({"max_degree": 2, "hidden_degree": 3}, "hidden_degree is 3, expected 0 to max_degree, 2"),
        ({"correlation": 4}, "correlation is 4, expected 1 to 3"),
        ({"radial_widths": (8, 0)}, "radial_widths"),
    ],
)
def test_wrong_options_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        MACEOptions(**wrong)


def test_without_e3nn_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "e3nn", None)
    monkeypatch.delitem(sys.modules, "hydracalc.models.mace_basis")
    with pytest.raises(ImportError, match=r"pip install 'hydracalc\[mace\]'"):
        importlib.import_module("hydracalc.models.mace_basis")

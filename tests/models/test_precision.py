"""Each precision keeps what it says: products may be bfloat16, sums and geometry never are."""

from dataclasses import replace

import pytest
import torch
from ase.build import bulk, molecule
from builders import METALLIC, ORGANIC, make_branch, make_model, rattled

from hydracalc.graphs.collate import collate
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.models.precision import PRECISIONS, Precision, find, matrix_products, of_weights
from hydracalc.structure import from_atoms

STRUCTURES = (
    rattled(molecule("CH3CH2OH"), 1),
    rattled(bulk("NaCl", "rocksalt", a=5.6, cubic=True), 2),
    rattled(bulk("Cu") * (2, 2, 1), 3),
)


def new_model(encoder, **options):
    """Weights as a run begins with them; no repulsion, whose forces would hide the network's.

    Sums are divided by the root of four neighbors instead of twenty: a new network otherwise hears
    so little of its surroundings that energies are differences of nearly equal numbers.
    """
    torch.manual_seed(0)
    branches = [make_branch("organic", ORGANIC, 1), make_branch("general", METALLIC, 2)]
    sizes = {"num_channels": 32, "num_layers": 2, "num_radial": 8, "num_neighbors": 4.0}
    options |= sizes | {"repulsion": False}
    return HydraModel(HydraConfig(encoder=encoder, **options), branches)


@pytest.fixture(scope="module")
def graph():
    made = collate([from_atoms(atoms) for atoms in STRUCTURES], 5.0)
    return replace(made, branch_index=torch.ones_like(made.branch_index))


def error(got, exact):
    """Norm of the difference over the norm, NaN (no stress) left out."""
    got, exact = torch.nan_to_num(got), torch.nan_to_num(exact)
    return ((got - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("name", PRECISIONS)
def test_a_name_sets_the_type_of_weights_and_products(name):
    model = make_model()
    model.precision = name
    assert model.precision == name
    assert model.dtype == PRECISIONS[name].features
    assert model.branches.references.values.dtype == torch.float64
    with matrix_products(find(name), torch.device("cpu")):
        made = torch.ones(2, 2, dtype=model.dtype) @ torch.ones(2, 2, dtype=model.dtype)
    assert made.dtype == PRECISIONS[name].products


def test_nothing_but_products_is_below_float32():
    for precision in PRECISIONS.values():
        assert torch.finfo(precision.features).bits >= 32


def test_a_model_that_was_cast_has_the_precision_of_its_weights():
    model = make_model()
    model.precision = "bfloat16"
    assert model.double().precision == "float64"
    model.precision = "float32"
    assert model.float().precision == "float32"
    with pytest.raises(ValueError, match="weights are torch.float16, expected float32 or float64"):
        _ = model.half().precision


def test_an_unknown_precision_offers_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'bfloat16'"):
        make_model().precision = "bfloat"
    with pytest.raises(ValueError, match="weights are torch.bfloat16"):
        of_weights(torch.bfloat16)
    assert of_weights(torch.float64) == "float64"


def test_bfloat16_predicts_what_float32_does(encoder, graph):
    """Energies of atoms to 0.3 % of what a head's output of one stands for, derivatives to 5 %."""
    model = new_model(encoder).eval()
    exact = model(graph, stress=True, reference="interaction")
    model.precision = "bfloat16"
    got = model(graph, stress=True, reference="interaction")
    difference = got.energies - exact.energies
    assert 0 < difference.square().mean().sqrt() < 0.003 * model.branch_specs[1].scale
    assert error(got.forces, exact.forces) < 0.05
    assert error(got.stress, exact.stress) < 0.05
    assert got.energy.dtype == torch.float64
    assert got.forces.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_bfloat16_trains_as_float32_does(encoder, graph):
    """Gradients of a loss on energies and forces: second derivatives of bfloat16 products."""
    model = new_model(encoder, direct_forces=True).train()
    targets = torch.randn(graph.num_atoms, 3, generator=torch.Generator().manual_seed(1))
    gradients = {}
    for name in ("float32", "bfloat16"):
        model.precision = name
        model.zero_grad()
        got = model(graph, stress=True, reference="interaction")
        loss = (got.forces - targets).square().mean() + (got.energies - 1).square().mean()
        loss = loss + (got.direct_forces - targets).square().mean()
        loss = loss + torch.nan_to_num(got.stress).square().mean()
        loss.backward()
        gradients[name] = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(g.dtype == torch.float32 for g in gradients["bfloat16"])
    whole = {name: torch.cat([g.ravel() for g in parts]) for name, parts in gradients.items()}
    assert 0 < error(whole["bfloat16"], whole["float32"]) < 0.05


def test_a_step_in_bfloat16_lowers_the_loss(encoder, graph):
    """Weights are kept in float32: steps too small for bfloat16 count."""
    model = new_model(encoder).train()
    model.precision = "bfloat16"
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        got = model(graph, reference="interaction")
        loss = got.forces.square().mean() + (got.energies - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_sums_over_neighbors_and_structures_are_at_least_float32(graph):
    """257 ones are 257, where bfloat16 stops counting at 256."""
    edges = graph.receivers.numel()
    ones = torch.ones(edges, 1, dtype=torch.bfloat16)
    one_atom = replace(graph, receivers=torch.zeros_like(graph.receivers))
    assert edges > 256
    assert one_atom.sum_to_receivers(ones)[0].item() == edges
    assert graph.sum_to_receivers(ones).dtype == torch.float32
    assert graph.sum_over_structures(ones[: graph.num_atoms]).dtype == torch.float32
    assert graph.sum_to_receivers(ones.double()).dtype == torch.float64


def test_plain_precisions_leave_products_alone():
    """Also within somebody else's autocast, which is theirs to decide."""
    both = Precision(features=torch.float32, products=torch.float32)
    with torch.autocast("cpu", torch.bfloat16), matrix_products(both, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_forces_in_bfloat16_sum_to_zero(encoder, graph):
    """An edge gives its two atoms opposite forces, whatever the digits of the gradient."""
    model = new_model(encoder).eval()
    model.precision = "bfloat16"
    got = model(graph)
    total = graph.sum_over_structures(got.forces)
    assert total.abs().max() < 1e-5 * max(1.0, got.forces.abs().max().item())

"""Branches, mixtures and what conditions them."""

from dataclasses import replace

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from builders import make_branch, make_model, rattled

from hydracalc.graphs.collate import collate
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.structure import from_atoms

WATER = rattled(molecule("H2O"), 1)
METHANOL = rattled(molecule("CH3OH"), 2)


def graph_of(model, *atoms):
    return collate([from_atoms(a) for a in atoms], model.config.cutoff)


def alone(model, graph, branch):
    """Prediction of one branch, chosen by branch_index."""
    return model(replace(graph, branch_index=torch.full_like(graph.branch_index, branch)))


def test_a_mixture_is_the_weighted_sum_of_its_branches(model):
    graph = graph_of(model, WATER, METHANOL)
    weights = torch.tensor([[0.3, 0.7], [0.9, 0.1]], dtype=torch.float64)
    mixed = model(graph, weights=weights)
    first, second = alone(model, graph, 0), alone(model, graph, 1)
    expected = weights[:, 0] * first.energy + weights[:, 1] * second.energy
    torch.testing.assert_close(mixed.energy, expected, atol=1e-10, rtol=0)
    of_atom = weights[graph.structure_index]
    forces = of_atom[:, :1] * first.forces + of_atom[:, 1:] * second.forces
    torch.testing.assert_close(mixed.forces, forces, atol=1e-10, rtol=1e-10)
    both = torch.stack([first.energy, second.energy], dim=1)
    torch.testing.assert_close(mixed.branch_energy, both, atol=1e-10, rtol=0)


def test_per_atom_energies_sum_to_the_energy_with_and_without_references(model):
    graph = replace(graph_of(model, WATER, METHANOL), branch_index=torch.tensor([0, 1]))
    for reference in ("total", "interaction"):
        got = model(graph, reference=reference)
        torch.testing.assert_close(graph.sum_over_structures(got.energies), got.energy)
    difference = model(graph).energy - model(graph, reference="interaction").energy
    table = [model.branch_specs[b].references for b in (0, 1)]
    expected = [table[0].baseline(WATER.numbers), table[1].baseline(METHANOL.numbers)]
    torch.testing.assert_close(difference, torch.tensor(expected, dtype=torch.float64))


def test_a_branch_that_lacks_an_element_has_weight_zero_and_no_energy(model):
    graph = graph_of(model, bulk("Si"), WATER)
    weights = model.branch_weights(graph)
    assert weights[0].tolist() == [0.0, 1.0]
    assert weights[1].min() > 0
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2).double())
    assert torch.isnan(model(graph, weights=weights).branch_energy[0, 0])


def test_an_unknown_element_is_refused_by_name(model):
    graph = graph_of(model, bulk("Si"))
    with pytest.raises(ValueError, match=r"branch 'organic' does not know element Si .*'general'"):
        alone(model, graph, 0)
    with pytest.raises(ValueError, match=r"'organic' does not know element Si"):
        model(graph, weights=torch.tensor([[0.5, 0.5]]))
    with pytest.raises(ValueError, match=r"no branch knows all of the elements \['U'\]"):
        model.branch_weights(graph_of(model, bulk("U", "fcc", a=4.0)))


def test_a_structure_without_a_branch_is_refused(model):
    with pytest.raises(ValueError, match="branch_index -1"):
        model(graph_of(model, WATER))


def test_weights_do_not_depend_on_positions_or_on_the_size_of_the_cell(model):
    cells = [bulk("NaCl", "rocksalt", a=5.6), rattled(bulk("NaCl", "rocksalt", a=5.6) * 2, 1)]
    weights = model.branch_weights(graph_of(model, *cells))
    assert torch.equal(weights[0], weights[1])


@pytest.mark.parametrize(("key", "value"), [("charge", 1), ("charge", -2), ("spin", 3)])
def test_charge_and_spin_change_the_energy_and_receive_gradients(encoder, key, value):
    model = make_model(encoder)
    neutral, other = WATER.copy(), WATER.copy()
    other.info[key] = value
    energies = [
        model(graph_of(model, a), weights=torch.ones(1, 2) / 2).energy for a in (neutral, other)
    ]
    assert abs(energies[0] - energies[1]).item() > 1e-6
    model.train()
    table = getattr(model.encoder.embedding, key).weight
    graph = replace(graph_of(model, other), branch_index=torch.tensor([0]))
    model(graph).energy.sum().backward()
    row = value + 20 if key == "charge" else value
    assert table.grad[row].abs().max() > 0


def test_a_neutral_singlet_gives_the_charge_tables_no_say(encoder):
    model, atoms = make_model(encoder), WATER.copy()
    before = model(graph_of(model, atoms), weights=torch.ones(1, 2) / 2).energy
    with torch.no_grad():
        model.encoder.embedding.charge.weight[21:] += 1
    assert torch.equal(before, model(graph_of(model, atoms), weights=torch.ones(1, 2) / 2).energy)


def test_the_state_of_charge_is_learned(encoder):
    """Two labels that differ in charge alone are told apart after training."""
    model = make_model(encoder, weighting=False).train()
    charged = WATER.copy()
    charged.info["charge"] = 1
    graph = replace(graph_of(model, WATER, charged), branch_index=torch.tensor([0, 0]))
    target = model(graph, reference="interaction").energy.detach()[0] + torch.tensor([0.0, 2.0])
    # products of sums over neighbors make the energies of MACE with these large weights steep
    rate = 3e-3 if encoder == "mace" else 1e-2
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(150):
        optimizer.zero_grad()
        error = model(graph, reference="interaction", forces=None).energy - target
        error.square().sum().backward()
        optimizer.step()
    assert error.abs().max() < 0.1


def test_charge_and_spin_outside_the_tables_are_refused(model):
    bad = WATER.copy()
    bad.info["charge"] = 99
    with pytest.raises(ValueError, match=r"total_charge \[99\] is outside -20..20"):
        model(graph_of(model, bad), weights=torch.ones(1, 2) / 2)


def test_training_keeps_the_backward_graph_of_forces(encoder):
    model = make_model(encoder).train()
    graph = replace(graph_of(model, WATER), branch_index=torch.tensor([0]))
    prediction = model(graph, stress=False)
    prediction.forces.square().sum().backward()
    gradients = [p.grad for p in model.encoder.parameters() if p.grad is not None]
    assert any(g.abs().max() > 0 for g in gradients)


def test_a_molecule_without_stress_leaves_the_gradients_of_a_stress_loss_finite(encoder):
    model = make_model(encoder).train()
    graph = replace(graph_of(model, WATER, bulk("Cu")), branch_index=torch.tensor([0, 1]))
    stress = model(graph, stress=True).stress
    assert torch.isnan(stress[0]).all()
    torch.nan_to_num(stress).square().sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(g).all() for g in gradients)


def test_gradients_of_a_force_loss_equal_finite_differences(encoder):
    """The second derivative, along a random direction of all parameters."""
    model = make_model(encoder).train()
    graph = replace(graph_of(model, METHANOL), branch_index=torch.tensor([0]))
    parameters = [p for p in model.parameters() if p.requires_grad]

    def objective():
        got = model(graph)
        return got.forces.square().sum() + (got.energy / 10).square().sum() * 1e-6

    objective().backward()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        directions = [torch.randn_like(p) for p in parameters]
    pairs = zip(parameters, directions, strict=True)
    slope = sum((p.grad * d).sum() for p, d in pairs if p.grad is not None).item()
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(parameters, directions, strict=True):
                p += sign * 1e-6 * d
        values.append(objective().item())
        with torch.no_grad():
            for p, d in zip(parameters, directions, strict=True):
                p -= sign * 1e-6 * d
    assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


def test_references_stay_float64_and_float32_agrees_with_float64(encoder):
    double, single = make_model(encoder), make_model(encoder).float()
    assert single.branches.references.values.dtype == torch.float64
    graph = replace(graph_of(double, WATER, METHANOL), branch_index=torch.tensor([0, 1]))
    a, b = double(graph), single(graph)
    assert b.energy.dtype == torch.float64
    torch.testing.assert_close(a.interaction_energy, b.interaction_energy, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(a.forces, b.forces.double(), atol=1e-4, rtol=1e-4)


def test_atoms_without_neighbors_share_a_batch_with_others(model):
    graph = graph_of(model, Atoms("H"), WATER, Atoms("OH", [[0, 0, 0], [0, 0, 30.0]]))
    got = model(graph, weights=torch.ones(3, 2) / 2, stress=True)
    assert torch.isfinite(got.energy).all()
    assert torch.isfinite(got.forces).all()
    assert torch.isnan(got.stress).all()


def test_a_model_needs_branches_of_different_names():
    with pytest.raises(ValueError, match="each name once"):
        HydraModel(HydraConfig(), [make_branch("a", ("H",), 1), make_branch("a", ("C",), 2)])
    with pytest.raises(ValueError, match="at least one"):
        HydraModel(HydraConfig(), [])


def test_an_unknown_encoder_offers_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'painn'"):
        make_model("pain")


def test_direct_forces_without_heads_are_refused(model):
    graph = replace(graph_of(model, WATER), branch_index=torch.tensor([0]))
    with pytest.raises(ValueError, match="no direct force heads"):
        model(graph, forces="direct")

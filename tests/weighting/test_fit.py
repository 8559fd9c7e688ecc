"""The weighting finds the branch that is right, from labels, on compositions it never saw."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule
from builders import make_model, rattled

from hydracalc.elements import reduced_formula
from hydracalc.graphs.collate import collate
from hydracalc.structure import from_atoms
from hydracalc.weighting.evidence import coverage, gather_evidence
from hydracalc.weighting.fit import WeightingFitConfig, fit_weighting

NITROGENOUS = ("NH3", "NO2", "HCN", "N2H4", "CH3CN", "C5H5N", "CH3NO2", "C4H4NH")
OTHERS = ("H2O", "CH4", "CH3OH", "C2H6", "C6H6", "CH3CH2OH", "C2H4", "H2CO", "HCOOH", "CO2")


def relabelled(structure, model, branch):
    """The structure with forces and energy as one branch predicts them, times a made-up noise."""
    graph = collate([structure], model.config.cutoff)
    got = model(replace(graph, branch_index=torch.tensor([branch])))
    return replace(
        structure,
        branch=model.branch_names[branch],
        energy=got.energy.item(),
        forces=got.forces.detach().numpy(),
    )


@pytest.fixture
def model():
    from builders import ORGANIC, make_branch

    from hydracalc.models.hydra import HydraConfig, HydraModel

    base = make_model(weighting=False)
    specs = [make_branch("first", ORGANIC, 1), make_branch("second", ORGANIC, 1)]
    model = HydraModel(base.config, specs)
    assert isinstance(base.config, HydraConfig)
    state = base.state_dict()
    state["branches.references.values"] = model.branches.references.values
    model.double().load_state_dict(state)
    return model.eval()


@pytest.fixture
def structures(model):
    """Nitrogen compounds labelled by the second branch, all others by the first."""
    made = []
    for branch, names in ((1, NITROGENOUS), (0, OTHERS)):
        for name in names:
            for seed in range(2):
                atoms = from_atoms(rattled(molecule(name), seed))
                made.append(relabelled(atoms, model, branch))
    return made


def test_the_mixture_beats_each_branch_and_the_uniform_one_on_unseen_compositions(
    model, structures
):
    config = WeightingFitConfig(num_steps=300, held_out=0.3, learning_rate=2e-2)
    weighting, report = fit_weighting(model, structures, config=config)
    errors = report.force_mae_eV_per_A
    assert report.num_fitted + report.num_held_out == len(structures)
    assert errors["own"] == pytest.approx(0, abs=1e-9)
    assert report.auto_force_mae_eV_per_A["first"] == pytest.approx(errors["auto"])
    assert errors["auto"] < 0.7 * min(errors["first"], errors["second"], errors["uniform"])
    assert weighting.seen[[1, 6, 7, 8]].all()
    assert weighting.seen.sum() == 4


def test_the_same_seed_gives_the_same_weights(model, structures):
    config = WeightingFitConfig(num_steps=20)
    first, second = (fit_weighting(model, structures, config=config)[0] for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_no_composition_is_both_fitted_and_held_out(model, structures):
    from hydracalc.weighting.fit import _held_out_compositions

    held_out = _held_out_compositions(structures, WeightingFitConfig(held_out=0.3))
    kept = {reduced_formula(s.atomic_numbers) for s in structures} - held_out
    assert held_out
    assert kept
    assert len(held_out) == round(0.3 * (len(kept) + len(held_out)))


def test_a_structure_and_its_multiple_are_one_composition(structures):
    from hydracalc.weighting.fit import _held_out_compositions

    single = structures[0]
    twice = from_atoms(molecule("NH3") + molecule("NH3"))
    assert reduced_formula(twice.atomic_numbers) == reduced_formula(single.atomic_numbers)
    with pytest.raises(ValueError, match="two compositions"):
        _held_out_compositions([single, twice], WeightingFitConfig())


def test_evidence_is_what_the_branches_say(model, structures):
    evidence = gather_evidence(model, structures[:4], max_atoms=8)
    graph = collate(structures[:4], model.config.cutoff)
    for branch in (0, 1):
        one = model(replace(graph, branch_index=torch.full_like(graph.branch_index, branch)))
        torch.testing.assert_close(evidence.forces[:, branch], one.forces, atol=1e-10, rtol=0)
    own = torch.tensor([[0.0, 1.0]]).double().expand(4, -1)
    force_error, energy_error = evidence.errors(own)
    assert force_error.max() < 1e-9
    assert energy_error.max() < 1e-9


def test_a_structure_at_rest_says_nothing_and_a_strained_one_nearly_all(model, structures):
    still = replace(structures[0], forces=structures[0].forces * 0)
    strained = replace(structures[0], forces=np.full_like(structures[0].forces, 3.0))
    found = gather_evidence(model, [still, strained]).information(1.0)
    assert found.tolist() == pytest.approx([0.0, 0.75])


def test_a_price_on_leaving_the_prior_keeps_the_weights_there(model, structures):
    steps = {"num_steps": 200, "learning_rate": 2e-2, "held_out": 0.3}
    free = WeightingFitConfig(**steps, prior_weight=0.0, element_prior_weight=0.0)
    bound = WeightingFitConfig(**steps, prior_weight=100.0)
    graph = collate(structures, model.config.cutoff)
    distance = []
    for config in (free, bound):
        weighting, _ = fit_weighting(
            model, structures, prior={"first": 3.0, "second": 1.0}, config=config
        )
        model.weighting = weighting
        expected = torch.tensor([0.75, 0.25])
        distance.append((model.branch_weights(graph) - expected).abs().mean().item())
    model.weighting = None
    assert distance[1] < 0.05 < distance[0]


def test_a_prior_must_name_every_branch(model, structures):
    with pytest.raises(ValueError, match="prior shares are"):
        fit_weighting(model, structures, prior={"first": 1.0})


def test_coverage_counts_structures_by_their_forces(structures):
    still = replace(structures[0], forces=structures[0].forces * 0)
    strained = replace(structures[0], forces=np.full_like(structures[0].forces, 3.0))
    blind = replace(structures[0], forces=None)
    assert coverage([still, strained, strained, blind], 1.0) == pytest.approx(1.5)


def test_too_few_compositions_are_refused(model, structures):
    with pytest.raises(ValueError, match="two compositions"):
        fit_weighting(model, structures[:2])
    with pytest.raises(ValueError, match="got 0"):
        gather_evidence(model, [])

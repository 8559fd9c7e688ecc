"""The weighting finds the branch that is right, from labels, on compositions it never saw."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule
from builders import make_model, rattled

from hydracalc.graphs.collate import collate
from hydracalc.structure import from_atoms
from hydracalc.weighting.evidence import gather_evidence
from hydracalc.weighting.fit import WeightingFitConfig, fit_weighting
from hydracalc.weighting.trained_on import TrainedOn

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
    config = WeightingFitConfig(num_steps=300, folds=4, learning_rate=2e-2, prior_weight=0.01)
    weighting, report = fit_weighting(model, structures, config=config)
    errors = report.force_mae_eV_per_A
    assert report.num_structures == len(structures)
    assert report.num_compositions == len(NITROGENOUS) + len(OTHERS)
    assert errors["own"] == pytest.approx(0, abs=1e-9)
    assert report.auto_force_mae_eV_per_A["first"] == pytest.approx(errors["auto"])
    assert errors["auto"] < 0.7 * min(errors["first"], errors["second"], errors["uniform"])
    assert report.by_dataset_force_mae_eV_per_A["second"]["second"] == pytest.approx(0, abs=1e-9)
    assert weighting.seen[[1, 6, 7, 8]].all()
    assert weighting.seen.sum() == 4


def test_what_branches_were_trained_on_decides_where_labels_are_few(model, structures):
    """Before any step of training: each composition by the branch that saw its neighbors."""
    trained_on = TrainedOn(model.branch_names, 0.5)
    trained_on.add("second", [s for s in structures if s.branch == "second"][::2])
    trained_on.add("first", [s for s in structures if s.branch == "first"][::2])
    config = WeightingFitConfig(num_steps=1, learning_rate=1e-9)
    weighting, report = fit_weighting(model, structures, trained_on=trained_on, config=config)
    errors = report.force_mae_eV_per_A
    assert errors["auto"] < 0.3 * min(errors["first"], errors["second"], errors["uniform"])
    assert report.num_new_compositions == 0
    graph = collate([s for s in structures if s.branch == "second"], model.config.cutoff)
    model.weighting = weighting
    assert (model.branch_weights(graph)[:, 1] > 0.6).all()


def test_what_is_new_to_all_branches_is_told_apart(model, structures):
    trained_on = TrainedOn(model.branch_names, 0.5)
    trained_on.add("first", [s for s in structures if s.branch == "first"])
    config = WeightingFitConfig(num_steps=1)
    _, report = fit_weighting(model, structures, trained_on=trained_on, config=config)
    assert report.num_new_compositions == len(NITROGENOUS)
    assert report.new_force_mae_eV_per_A["second"] == pytest.approx(0, abs=1e-9)


def test_the_same_seed_gives_the_same_weights(model, structures):
    config = WeightingFitConfig(num_steps=20)
    first, second = (fit_weighting(model, structures, config=config)[0] for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


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


def test_a_price_on_leaving_what_was_trained_on_keeps_the_weights_there(model, structures):
    trained_on = TrainedOn(model.branch_names, 0.5)
    trained_on.add("first", structures)
    trained_on.add("second", structures)
    steps = {"num_steps": 100, "learning_rate": 4e-2, "folds": 2}
    graph = collate(structures, model.config.cutoff)
    distance = []
    for price in (0.0, 100.0):
        config = WeightingFitConfig(**steps, prior_weight=price)
        weighting, _ = fit_weighting(model, structures, trained_on=trained_on, config=config)
        model.weighting = weighting
        distance.append((model.branch_weights(graph) - 0.5).abs().mean().item())
    model.weighting = None
    assert distance[1] < 0.01 < distance[0]


def test_many_frames_of_one_composition_have_one_vote(model, structures):
    """Twenty more frames of one molecule do not change the mean over molecules by much."""
    config = WeightingFitConfig(num_steps=1)
    more = [*structures, *[structures[0]] * 20]
    errors = [fit_weighting(model, s, config=config)[1] for s in (structures, more)]
    uniform = [e.force_mae_eV_per_A["uniform"] for e in errors]
    assert uniform[1] == pytest.approx(uniform[0], rel=0.03)
    assert errors[1].num_structures == errors[0].num_structures + 20


def test_rows_of_evidence_are_those_of_fewer_structures(model, structures):
    some = structures[:6]
    chosen = torch.tensor([True, False, True, True, False, False])
    part = gather_evidence(model, some, max_atoms=8).rows(chosen)
    alone = gather_evidence(model, [s for s, c in zip(some, chosen, strict=True) if c])
    for name in part.__dataclass_fields__:
        torch.testing.assert_close(getattr(part, name), getattr(alone, name), atol=1e-9, rtol=0)


def test_too_few_compositions_are_refused(model, structures):
    with pytest.raises(ValueError, match="two compositions"):
        fit_weighting(model, structures[:2])
    with pytest.raises(ValueError, match="got 0"):
        gather_evidence(model, [])
    with pytest.raises(ValueError, match="folds is 1"):
        WeightingFitConfig(folds=1)


def test_trust_is_in_branches_of_the_model_and_at_most_one(model, structures):
    with pytest.raises(ValueError, match="unknown branch 'firts'; did you mean 'first'"):
        fit_weighting(model, structures, config=WeightingFitConfig(trust={"firts": 0.5}))
    with pytest.raises(ValueError, match="trust in first is 2"):
        WeightingFitConfig(trust={"first": 2})


def test_labels_of_a_branch_that_is_not_trusted_do_not_pull_the_weights(model, structures):
    graph = collate([s for s in structures if s.branch == "second"], model.config.cutoff)
    found = []
    for trust in ({}, {"second": 0.01}):
        config = WeightingFitConfig(
            num_steps=300, learning_rate=2e-2, folds=2, prior_weight=0.01, trust=trust
        )
        model.weighting, _ = fit_weighting(model, structures, config=config)
        found.append(model.branch_weights(graph)[:, 1].mean().item())
    model.weighting = None
    assert found[0] > found[1] + 0.2

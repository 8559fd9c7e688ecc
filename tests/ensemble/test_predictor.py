"""Together members say what each says alone: the mean is theirs, and so is the spread."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from builders import make_model, structure_zoo

from hydracalc.ensemble.predictor import EnsemblePredictor
from hydracalc.inputs import as_structure
from hydracalc.kernels import threads
from hydracalc.predictor import InferenceConfig, Predictor

KINDS = ("molecule", "one-atom cell", "triclinic", "outside the cell", "slab")


@pytest.fixture(scope="module")
def models():
    """Two of one shape, one with another encoder and a shorter cutoff."""
    return [
        make_model(seed=0),
        make_model(seed=1),
        make_model("schnet", seed=2, cutoff=3.5, num_channels=8),
    ]


@pytest.fixture
def structures():
    zoo = structure_zoo()
    return [as_structure(molecule("CH3OH"), source="methanol")] + [
        as_structure(zoo[name], source=name) for name in KINDS[1:]
    ]


def alone(models, config, structure):
    return [Predictor(model, config).predict([structure])[0] for model in models]


@pytest.mark.parametrize("branch", ["general", "auto", {"general": 0.7, "organic": 0.3}])
def test_mean_and_spread_are_those_of_the_members_alone(models, structures, branch):
    """Every member with its own weighting, its own cutoff, its own references."""
    config = InferenceConfig(branch=branch)
    predictor = EnsemblePredictor(models, config)
    able = [s for s in structures if predictor.mixture.supporting(s.atomic_numbers).any()]
    if branch != "general" and branch != "auto":
        able = able[:1]
    for structure, found in zip(able, predictor.predict(able), strict=True):
        each = alone(models, config, structure)
        energies = [one.energy for one in each]
        assert found.energy == pytest.approx(np.mean(energies), abs=1e-9)
        assert found.energy_std == pytest.approx(np.std(energies, ddof=1), abs=1e-9)
        forces = np.stack([one.forces for one in each])
        np.testing.assert_allclose(found.forces, forces.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(found.forces_std, forces.std(axis=0, ddof=1), atol=1e-9)
        spread = np.sqrt(forces.var(axis=0, ddof=1).sum(axis=1))
        np.testing.assert_allclose(found.force_spread, spread, atol=1e-9)
        assert (found.stress is None) == (each[0].stress is None) == (found.stress_std is None)
        if found.stress is not None:
            stress = np.stack([one.stress for one in each])
            np.testing.assert_allclose(found.stress, stress.mean(axis=0), atol=1e-9)
            np.testing.assert_allclose(found.stress_std, stress.std(axis=0, ddof=1), atol=1e-9)
        weights = {n: np.mean([one.branch_weights[n] for one in each]) for n in ("organic",)}
        assert found.branch_weights["organic"] == pytest.approx(weights["organic"])


def test_mean_forces_are_the_gradient_of_the_mean_energy(models, structures):
    """Central differences in float64 on every coordinate of two atoms."""
    predictor = EnsemblePredictor(models, InferenceConfig(branch="general"))
    structure = structures[3]
    forces = predictor.predict([structure])[0].forces
    h = 1e-4
    for atom in (0, 3):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                moved = structure.positions.copy()
                moved[atom, axis] += sign * h
                other = replace(structure, positions=moved)
                energies.append(predictor.predict([other])[0].energy)
            slope = (energies[0] - energies[1]) / (2 * h)
            assert -slope == pytest.approx(forces[atom, axis], abs=2e-6)


def test_members_that_are_one_model_have_no_spread(structures):
    model = make_model()
    config = InferenceConfig(branch="general")
    found = EnsemblePredictor([model] * 3, config).predict(structures)
    for each, want in zip(found, Predictor(model, config).predict(structures), strict=True):
        assert each.energy == pytest.approx(want.energy, rel=1e-12)
        assert each.energy_std == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(each.forces_std, 0, atol=1e-12)


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_threads_change_nothing(models, structures, num_threads, monkeypatch):
    """Answers come back in the order of the members, whoever computed them."""
    predictor = EnsemblePredictor(models, InferenceConfig(branch="general"))
    want = predictor.predict(structures[1:2])[0]
    used = []
    run = threads.run
    monkeypatch.setattr(threads, "run", lambda tasks: used.append(len(tasks)) or run(tasks))
    monkeypatch.setattr(torch, "get_num_threads", lambda: num_threads)
    got = predictor.predict(structures[1:2])[0]
    assert [count for count in used if count > 1] == (
        [] if num_threads == 1 else [min(num_threads, 3)]
    )
    assert got.energy == want.energy
    np.testing.assert_array_equal(got.forces, want.forces)
    np.testing.assert_array_equal(got.forces_std, want.forces_std)


def test_an_element_that_one_member_does_not_know_is_refused():
    """Copper is struck from the second member's branch."""
    models = [make_model(seed=0), make_model(seed=1)]
    models[1].branches.references.values[1, 29] = torch.nan
    predictor = EnsemblePredictor(models, InferenceConfig(branch="general"))
    with pytest.raises(ValueError, match="'general' does not know Cu"):
        predictor.predict([as_structure(bulk("Cu"))])


def test_what_cannot_be_an_ensemble_is_refused():
    model = make_model()
    with pytest.raises(ValueError, match="1 members has no spread"):
        EnsemblePredictor([model])
    with pytest.raises(ValueError, match=r"member 0 has \['organic', 'general'\], member 1 has"):
        EnsemblePredictor([model, model.with_branches([1, 0])], InferenceConfig(branch="general"))


def test_branches_of_an_ensemble_are_means(models, structures):
    predictor = EnsemblePredictor(models, InferenceConfig(branch="auto"))
    survey = predictor.survey(structures[0])
    each = [Predictor(m, InferenceConfig(branch="auto")).survey(structures[0]) for m in models]
    for name in ("organic", "general"):
        want = np.mean([one.branch_energies[name] for one in each])
        assert survey.branch_energies[name] == pytest.approx(want)
    assert predictor.descriptors(structures[0]).shape == (6, 16 + 16 + 8)
    weights = predictor.branch_weights(structures[0])
    assert sum(weights.values()) == pytest.approx(1)

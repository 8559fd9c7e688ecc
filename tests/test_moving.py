"""Following one structure through a simulation gives what each step alone would."""

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from builders import make_model, rattled

from hydracalc.inputs import as_structure
from hydracalc.moving import MovingStructure
from hydracalc.predictor import InferenceConfig, Predictor


@pytest.fixture(scope="module")
def shared():
    return make_model().requires_grad_(False)


def assert_as_single(moving, predictor, atoms):
    found, expected = moving.predict(as_structure(atoms)), predictor.predict([as_structure(atoms)])
    assert found.energy == pytest.approx(expected[0].energy, abs=1e-10)
    np.testing.assert_allclose(found.forces, expected[0].forces, atol=1e-10)
    if expected[0].stress is not None:
        np.testing.assert_allclose(found.stress, expected[0].stress, atol=1e-10)


@pytest.mark.parametrize("skin", [0.0, 0.5])
@pytest.mark.parametrize("branch", ["auto", "general", {"general": 1.0}])
def test_every_step_is_what_it_would_be_alone(shared, branch, skin):
    predictor = Predictor(shared, InferenceConfig(branch=branch))
    moving = MovingStructure(predictor, skin)
    atoms = rattled(bulk("NaCl", "rocksalt", a=5.6, cubic=True))
    for step in range(8):
        atoms.positions += np.random.default_rng(step).normal(0, 0.05, atoms.positions.shape)
        if step == 5:
            atoms.set_cell(atoms.cell * 1.02, scale_atoms=True)
        assert_as_single(moving, predictor, atoms)


def test_a_change_of_anything_is_seen(shared):
    """Elements, charge, spin, boundaries, number of atoms, with positions as they were."""
    predictor = Predictor(shared, InferenceConfig(branch="general"))
    moving = MovingStructure(predictor, 0.5)
    atoms = molecule("CH3OH")
    atoms.cell = [6, 6, 6]
    assert_as_single(moving, predictor, atoms)
    atoms.numbers[0] = 14  # in place: nothing may be compared with the array itself
    assert_as_single(moving, predictor, atoms)
    atoms.info["charge"] = 1
    assert_as_single(moving, predictor, atoms)
    atoms.info["spin"] = 2
    assert_as_single(moving, predictor, atoms)
    atoms.pbc = (True, True, False)
    assert_as_single(moving, predictor, atoms)
    assert_as_single(moving, predictor, atoms[1:])
    assert_as_single(moving, predictor, bulk("Si"))


def test_weights_are_computed_once_for_a_trajectory(shared, monkeypatch):
    predictor = Predictor(shared)
    moving = MovingStructure(predictor, 0.5)
    calls = []
    weigh = shared.branch_weights
    monkeypatch.setattr(shared, "branch_weights", lambda graph: calls.append(1) or weigh(graph))
    for seed in range(3):
        moving.predict(as_structure(rattled(molecule("CH3OH"), seed)))
    assert calls == [1]


def test_atoms_that_come_too_near_are_warned_of(shared):
    """Seen when neighbors are looked for again, so within the skin at the latest."""
    moving = MovingStructure(Predictor(shared, InferenceConfig(branch="organic")), 0.5)
    atoms = molecule("H2")
    moving.predict(as_structure(atoms))
    atoms.positions[1] = atoms.positions[0] + [0, 0, 0.1]
    with pytest.warns(UserWarning, match=r"H0 and H1 are 0\.10 Angstrom apart"):
        moving.predict(as_structure(atoms))


def test_an_unsupported_structure_leaves_nothing_behind(shared):
    predictor = Predictor(shared, InferenceConfig(branch="organic"))
    moving = MovingStructure(predictor, 0.5)
    moving.predict(as_structure(molecule("CH3OH")))
    with pytest.raises(ValueError, match="does not know Si"):
        moving.predict(as_structure(bulk("Si")))
    assert_as_single(moving, predictor, molecule("CH3OH"))


def test_gradients_of_parameters_are_not_kept(shared):
    prediction = MovingStructure(Predictor(make_model()), 0.5).predictor
    graph = prediction._graph([as_structure(molecule("H2O"))])
    composition = prediction.compose(graph, prediction.weights(graph))
    found = prediction.run(graph, composition, stress=False)
    assert not found.energy.requires_grad
    assert isinstance(found.forces, torch.Tensor)
    assert not found.forces.requires_grad

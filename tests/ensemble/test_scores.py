"""Errors and spreads of labelled structures; what cannot be compared is counted by reason."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from builders import make_model, rattled

from hydracalc.ensemble.predictor import EnsemblePredictor
from hydracalc.ensemble.scores import collect
from hydracalc.predictor import InferenceConfig, Predictor
from hydracalc.structure import AtomicStructure, from_atoms

CONFIG = InferenceConfig(branch="organic", every_branch=True, max_atoms=12)


def labelled_structures():
    """Four with labels that are known, one of them without forces; four that are left out."""
    fine = [
        replace(from_atoms(rattled(molecule("CH3OH"), k)), energy=float(-k), forces=np.ones((6, 3)))
        for k in range(4)
    ]
    fine[3] = replace(fine[3], forces=None)
    together = replace(fine[0], positions=np.zeros((6, 3)))
    none = AtomicStructure(atomic_numbers=np.zeros(0, int), positions=np.zeros((0, 3)))
    silicon = replace(from_atoms(bulk("Si")), energy=0.0)
    return [fine[0], together, none, fine[1], silicon, replace(fine[0], energy=None), *fine[2:]]


def test_scores_are_predictions_less_labels_in_their_order():
    predictor = EnsemblePredictor([make_model(seed=seed) for seed in range(2)], CONFIG)
    left_out = Counter()
    given = labelled_structures()
    scores = collect(predictor, given, left_out=left_out)
    assert left_out == {
        "no atoms": 1,
        "no energy label": 1,
        "has an element that the branch does not know": 1,
        "no finite prediction, or atoms at one place": 1,
    }
    kept = [given[k] for k in (0, 3, 6, 7)]
    for k, structure in enumerate(kept):
        found = predictor.predict([structure])[0]
        own = scores.of(np.array([k]))
        assert own.energy_error[0] == pytest.approx((found.energy - structure.energy) / 6)
        assert own.energy_spread[0] == pytest.approx(found.energy_std / 6)
        np.testing.assert_allclose(own.force_spread, found.force_spread)
        if structure.forces is not None:
            np.testing.assert_allclose(own.force_error, found.forces - 1)
    assert len(scores.labelled_forces()[0]) == 18
    assert scores.is_ensemble


def test_a_single_model_has_the_spread_of_its_branches():
    predictor = Predictor(make_model(), CONFIG)
    structures = [each for each in labelled_structures() if each.energy == -1.0]
    scores = collect(predictor, structures, left_out=Counter())
    want = predictor.survey(structures[0]).spread()["energy_per_atom"]
    assert scores.energy_spread[0] == pytest.approx(want)
    assert not scores.is_ensemble


def test_nothing_to_compare_with_is_an_error():
    predictor = Predictor(make_model(), CONFIG)
    with pytest.raises(ValueError, match="no labelled structure to compare with; left out"):
        collect(predictor, [from_atoms(molecule("CH4"))], left_out=Counter())

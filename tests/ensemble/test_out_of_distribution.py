"""Members that agree on what they were trained on disagree elsewhere: a real, small training."""

from collections import Counter

import numpy as np
import pytest
from ensembles import cluster, trained_members

from hydracalc.ensemble.calibration import calibrate
from hydracalc.ensemble.coverage import measure, rank_correlation
from hydracalc.ensemble.predictor import EnsemblePredictor
from hydracalc.ensemble.scores import collect
from hydracalc.predictor import InferenceConfig

PURE = ("Ni8", "Cu8")


@pytest.fixture(scope="module")
def predictor():
    """Trained on clusters of nickel and of copper, never on both in one, never on platinum."""
    seen = [cluster(PURE[k % 2], seed=k) for k in range(24)]
    return EnsemblePredictor(trained_members(seen), InferenceConfig(branch="metal"))


def spread(predictor, formula, *, seeds=range(100, 110), **about):
    found = predictor.predict([cluster(formula, seed=seed, **about) for seed in seeds])
    return np.concatenate([each.force_spread for each in found])


def test_an_unseen_element_spreads_more(predictor):
    """Platinum has a reference energy, so the branch answers for it, and nothing was learned."""
    seen = np.concatenate([spread(predictor, formula) for formula in PURE])
    alone, one_of_eight = spread(predictor, "Pt8"), spread(predictor, "Cu7Pt")
    assert np.median(alone) > 1.7 * np.median(seen)
    assert np.median(one_of_eight) > 1.3 * np.median(seen)


def test_an_unseen_composition_spreads_more(predictor):
    """Both elements are known, together they are not."""
    seen = np.concatenate([spread(predictor, formula) for formula in PURE])
    assert np.median(spread(predictor, "Cu4Ni4")) > 1.2 * np.median(seen)


def test_unseen_distances_spread_more(predictor):
    seen = np.concatenate([spread(predictor, formula) for formula in PURE])
    far = np.concatenate([spread(predictor, formula, noise=0.27) for formula in PURE])
    assert np.median(far) > 1.3 * np.median(seen)


def test_spreads_of_members_that_were_trained_rank_and_bound_their_errors(predictor):
    """Held-out clusters from nearly at rest to far off; calibrated on some, checked on others."""
    rng = np.random.default_rng(0)
    held_out = [
        cluster(PURE[k % 2], seed=1000 + k, noise=float(rng.uniform(0.02, 0.3))) for k in range(300)
    ]
    left_out = Counter()
    scores = collect(predictor, held_out, left_out=left_out)
    assert not left_out
    lengths = np.linalg.norm(scores.force_error, axis=1)
    assert rank_correlation(scores.force_spread, lengths) > 0.4
    order = np.random.default_rng(1).permutation(300)
    made = calibrate(scores.of(np.sort(order[:150])))
    found = measure(made, scores.of(np.sort(order[150:])))
    for name in ("energy", "component", "force"):
        # three standard errors of a share over 150 and over 75 structures
        assert found.shares[name][0.9] == pytest.approx(0.9, abs=0.12), name

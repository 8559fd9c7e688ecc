"""Spread against error: right for errors that are drawn from it."""

import numpy as np
import pytest

from hydracalc.assessment.calibration import Calibration, measure_calibration
from hydracalc.assessment.subsets import gather
from hydracalc.registry import load_model


@pytest.fixture
def normal():
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.1, 2.0, 20000)
    return spread, np.abs(rng.normal(0, spread))


def test_normal_errors_are_covered_as_their_deviation_says(normal):
    spread, error = normal
    told = Calibration(spread=spread, error=error).to_json("eV")
    assert told["within_1_spreads"] == pytest.approx(0.683, abs=0.01)
    assert told["within_2_spreads"] == pytest.approx(0.954, abs=0.01)
    assert told["factor_for_68_percent"] == pytest.approx(1.0, abs=0.03)
    assert told["factor_for_95_percent"] == pytest.approx(2.0, abs=0.06)
    assert 0.3 < told["rank_correlation"] < 0.7
    means = [row["mean_error_eV"] for row in told["by_spread"]]
    assert means == sorted(means)


def test_spreads_that_are_too_small_say_so(normal):
    spread, error = normal
    told = Calibration(spread=spread / 3, error=error).to_json("eV")
    assert told["factor_for_68_percent"] == pytest.approx(3.0, abs=0.1)
    assert told["within_1_spreads"] < 0.3


def test_a_model_is_measured_on_its_own_spread(model_file, shards):
    """With two branches the deviation is half their difference."""
    model = load_model(model_file)
    structures = gather(shards)[0][0].structures
    found = measure_calibration(model, structures)
    assert found["error_of"] == "auto"
    assert found["structures"] == len(structures)
    assert found["energy"]["count"] == len(structures)
    assert found["forces"]["count"] == 3 * sum(each.num_atoms for each in structures)
    from hydracalc.predictor import InferenceConfig, Predictor

    predictor = Predictor(model, InferenceConfig(every_branch=True))
    spreads = [p.spread()["energy_per_atom"] for p in predictor.predict(structures)]
    rows = found["energy"]["by_spread"]
    mean = sum(r["mean_spread_eV_per_atom"] * r["count"] for r in rows) / len(structures)
    assert mean == pytest.approx(np.mean(spreads), rel=1e-4)

"""Intervals hold what they promise on structures that they were not made with."""

import json

import numpy as np
import pytest
from ensembles import NUM_ATOMS, drawn

from hydracalc.ensemble.calibration import (
    LEVELS,
    calibrate,
    conformal_factor,
    from_json,
    halves,
    key_of,
    to_json,
)
from hydracalc.ensemble.coverage import measure, rank_correlation


@pytest.mark.parametrize("noise", ["normal", "heavy"])
@pytest.mark.parametrize("spread_says", [1.0, 2.0, 0.3])
def test_coverage_is_as_promised_however_wrong_the_spread(spread_says, noise):
    """Within five standard errors of a share over structures, four levels, three quantities."""
    made = calibrate(drawn(2000, 0, spread_says=spread_says, noise=noise))
    found = measure(made, drawn(2000, 1, spread_says=spread_says, noise=noise))
    for name in ("energy", "component", "force"):
        for level in LEVELS:
            error = 5 * np.sqrt(level * (1 - level) * 2 / 1000)
            assert found.shares[name][level] == pytest.approx(level, abs=error), (name, level)
        widths = [found.widths[name][level] for level in LEVELS]
        assert widths == sorted(widths)


def test_uncalibrated_spreads_do_not_hold_what_a_normal_law_promises():
    """The test of the test: 1.64 spreads should hold 90 % of the components."""
    scores = drawn(2000, 1)
    inside = np.abs(scores.force_error) <= 1.64 * scores.force_spread[:, None] / np.sqrt(3)
    assert inside.mean() < 0.5


def test_intervals_are_wider_where_the_spread_is():
    """Local scaling: large and small spreads hold the same share, one width for all does not."""
    made, fresh = calibrate(drawn(2000, 0)), drawn(2000, 1)
    large = fresh.force_spread > np.quantile(fresh.force_spread, 0.8)
    lengths = np.linalg.norm(fresh.force_error, axis=1)
    half = made.force.half_widths(fresh.force_spread)[0.9]
    for part in (large, ~large):
        assert (lengths <= half)[part].mean() == pytest.approx(0.9, abs=0.03)
    constant = np.quantile(lengths, 0.9)
    assert (lengths <= constant)[large].mean() < 0.75


def test_a_single_model_is_calibrated_by_element():
    """No spread at all: widths differ between elements, and shares hold within each of them."""
    made = calibrate(drawn(2000, 0, ensemble=False))
    fresh = drawn(2000, 1, ensemble=False)
    assert made.energy_by == "nothing"
    assert list(made.by_element) == [1, 6, 8]
    assert made.by_element[8] > 1.3 * made.by_element[1]
    found = measure(made, fresh)
    for name in ("energy", "component", "force"):
        assert found.shares[name][0.9] == pytest.approx(0.9, abs=0.03)
    assert np.isnan(found.rank_correlation["energy"])
    spreads = made.force_spreads(fresh.atomic_numbers, fresh.force_spread)
    lengths = np.linalg.norm(fresh.force_error, axis=1)
    for z in (1, 8):
        own = fresh.atomic_numbers == z
        share = (lengths <= made.force.half_widths(spreads)[0.9])[own].mean()
        assert share == pytest.approx(0.9, abs=0.05)
    unseen = made.force_spreads(np.array([79]), np.array([np.nan]))
    assert unseen == max(made.by_element.values())


def test_no_structure_is_on_both_sides():
    first, second = halves(101, seed=3)
    assert sorted([*first, *second]) == list(range(101))
    scores = drawn(101, 0)
    part = scores.of(second)
    assert part.num_structures == len(second)
    np.testing.assert_array_equal(np.bincount(part.structure), NUM_ATOMS)
    own = np.isin(scores.structure, second)
    np.testing.assert_array_equal(part.force_error, scores.force_error[own])


def test_the_factor_is_the_conformal_rank():
    """The ceil((n + 1) level)-th smallest of n; the largest where that is beyond n."""
    scores = np.arange(1.0, 10.0)
    assert conformal_factor(scores, 0.5) == 5
    assert conformal_factor(scores, 0.8) == 8
    assert conformal_factor(scores, 0.95) == 9


def test_beyond_the_last_spread_expected_errors_go_on_growing():
    made = calibrate(drawn(500, 0))
    last = made.force.scale.spreads[-1]
    at, beyond = made.force.scale(np.array([last, 3 * last]))
    assert beyond == pytest.approx(3 * at)


def test_json_and_back_is_the_same():
    made = calibrate(drawn(100, 0))
    assert from_json(json.loads(json.dumps(to_json(made)))) == made
    assert key_of("mptrj") == "mptrj"
    assert key_of({"b": 0.5, "a": 0.5}) == key_of({"a": 0.5, "b": 0.5})


def test_energies_alone_are_calibrated_alone():
    scores = drawn(100, 0)
    scores.force_error[:] = np.nan
    made = calibrate(scores)
    assert made.force is made.component is None
    assert set(measure(made, scores).shares) == {"energy"}
    assert from_json(json.loads(json.dumps(to_json(made)))) == made


def test_too_few_structures_are_refused():
    with pytest.raises(ValueError, match="39 structures to calibrate with, expected at least 40"):
        calibrate(drawn(39, 0))


def test_rank_correlation_is_spearmans():
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1)
    assert np.isnan(rank_correlation(np.ones(4), x))

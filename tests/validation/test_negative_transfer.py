"""A verdict is given where the data carry it, and only there."""

from collections import Counter

import numpy as np
import pytest

from hydracalc.validation.negative_transfer import (
    HELPED,
    HURT,
    UNDECIDED,
    bootstrap_ratio,
    compare,
)
from hydracalc.validation.transfer_errors import TransferErrors


def errors(force, *, groups=None, indices=None, energy=None):
    force = np.asarray(force, dtype=np.float64)
    count = len(force)
    energy = force / 30 if energy is None else energy
    return TransferErrors(
        indices=np.arange(count) if indices is None else np.array(indices),
        groups=tuple(groups or (f"g{k}" for k in range(count))),
        force=force,
        components=np.full(count, 30),
        energy=energy,
        energy_as_predicted=energy,
        num_atoms=10 * count,
        num_fitted=0,
        left_out=Counter(),
    )


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, HELPED), (2.0, HURT)])
def test_a_clear_difference_is_told(factor, verdict):
    rng = np.random.default_rng(0)
    single = rng.uniform(1, 2, 60)
    multi = factor * single * rng.uniform(0.9, 1.1, 60)
    force, energy = compare(errors(multi), errors(single))
    assert force.verdict == energy.verdict == verdict
    assert force.ratio == pytest.approx(factor, rel=0.05)
    assert force.low < force.ratio < force.high
    assert force.single == pytest.approx(single.sum() / 1800)


def test_equal_models_are_undecided():
    rng = np.random.default_rng(1)
    force, _ = compare(errors(rng.uniform(1, 2, 60)), errors(rng.uniform(1, 2, 60)))
    assert force.verdict == UNDECIDED


def test_alike_structures_are_no_evidence_of_their_own():
    """A hundred frames of two trajectories are two observations, not two hundred."""
    multi, single = np.full(200, 1.0), np.full(200, 1.2)
    frames = errors(multi, groups=["a", "b"] * 100)
    force, _ = compare(frames, errors(single))
    assert np.isnan(force.low)
    assert force.num_groups == 2
    assert force.verdict == UNDECIDED
    assert compare(errors(multi), errors(single))[0].verdict == HELPED


def test_only_structures_that_both_answer_for_are_compared():
    multi = errors(np.ones(20), indices=range(20))
    single = errors(np.full(15, 2.0), indices=range(10, 25))
    force, _ = compare(multi, single)
    assert force.num_structures == 10
    assert force.ratio == pytest.approx(0.5)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Ratio of two means that are truly 1: 95 percent of the intervals hold it, or nearly."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        above, below = rng.exponential(1.0, (2, 80))
        low, high = bootstrap_ratio(above, below)
        held += low < 1 < high
    assert 0.88 < held / 200 < 0.99

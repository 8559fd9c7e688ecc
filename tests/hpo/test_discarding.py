"""Which trials end early: half of the epochs are saved, and the best trial is not among them."""

import math

import numpy as np
import pytest

from hydracalc.hpo.config import DiscardingConfig
from hydracalc.hpo.curve import CurvePoint
from hydracalc.hpo.discarding import at_rung, expected_end, is_discarded, rungs_of

EPOCHS = 27


def learning_curves(seed, count=40):
    """Power laws over epochs with errors of the validation, as (trials, epochs)."""
    rng = np.random.default_rng(seed)
    scale, floor = rng.lognormal(0, 0.5, (2, count, 1))
    slope = rng.uniform(0.4, 0.8, (count, 1))
    epochs = np.arange(1, EPOCHS + 1)
    noise = rng.normal(0, 0.02, (count, EPOCHS))
    return (0.1 * floor + scale * epochs**-slope) * np.exp(noise)


def as_points(values):
    return [
        CurvePoint(progress=(n + 1) / EPOCHS, epoch=n + 1, value=v, metrics={})
        for n, v in enumerate(values)
    ]


def survivors(curves, config):
    """Epochs that each trial makes, one after the other."""
    rungs, made = rungs_of(config, EPOCHS), []
    for number, curve in enumerate(curves):
        length = EPOCHS
        for rung in rungs:
            here = at_rung(as_points(curve), rung)
            before = (as_points(c[:m]) for c, m in zip(curves[:number], made, strict=True))
            others = [p.value for c in before if (p := at_rung(c, rung)) is not None]
            if is_discarded(here.value, others, config):
                length = here.epoch
                break
        made.append(length)
    return np.array(made)


@pytest.mark.parametrize(("rule", "least"), [("halving", 0.5), ("median", 0.3)])
def test_epochs_are_saved_and_the_best_is_kept(rule, least):
    """Over ten draws: the best, or one within a few percent of it, goes to its end."""
    config = DiscardingConfig(rule=rule)
    saved, lost = [], []
    for seed in range(10):
        curves = learning_curves(seed)
        made = survivors(curves, config)
        saved.append(1 - made.sum() / (EPOCHS * len(made)))
        final = curves[:, -1]
        lost.append(final[made == EPOCHS].min() / final.min() - 1)
    assert np.mean(saved) > least
    assert np.median(lost) == 0
    assert max(lost) < 0.25
    assert (survivors(learning_curves(0), DiscardingConfig()) == EPOCHS).all()


def test_rungs_are_powers_of_the_factor_but_not_below_an_epoch():
    assert rungs_of(DiscardingConfig(rule="halving"), 9) == pytest.approx((1 / 9, 1 / 3))
    assert rungs_of(DiscardingConfig(rule="halving"), 81) == pytest.approx((1 / 27, 1 / 9, 1 / 3))
    assert rungs_of(DiscardingConfig(rule="median"), 3) == (0.5,)
    assert rungs_of(DiscardingConfig(rule="none", rungs=(0.5,)), 9) == ()
    assert rungs_of(DiscardingConfig(rule="median", rungs=(0.1, 0.2)), 9) == (0.1, 0.2)


def test_the_first_trial_goes_on_and_what_is_no_number_does_not():
    config = DiscardingConfig(rule="halving")
    assert not is_discarded(5.0, [], config)
    assert is_discarded(5.0, [4.0], config)
    assert not is_discarded(5.0, [6.0, math.nan], config)
    assert is_discarded(math.nan, [], config)
    median = DiscardingConfig(rule="median", min_trials=3)
    assert not is_discarded(9.0, [1.0, 2.0], median)
    assert is_discarded(9.0, [1.0, 2.0, 3.0], median)
    assert not is_discarded(2.0, [1.0, 2.0, 3.0], median)


def test_a_discarded_trial_is_told_at_its_expected_end():
    """Errors that halve from the rung to the end in other trials do so in this one."""
    finished = [as_points([4.0 * n] + [2.0 * n] * (EPOCHS - 1)) for n in (1, 2, 3)]
    assert expected_end(10.0, 1 / EPOCHS, finished) == pytest.approx(5.0)
    assert expected_end(10.0, 1 / EPOCHS, []) == 10.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rungs": (0.5, 0.2)}, "rising parts of 1"),
        ({"rungs": (1.0,)}, "rising parts of 1"),
        ({"factor": 1.0}, "factor above 1"),
    ],
)
def test_rules_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DiscardingConfig(rule="halving", **settings)

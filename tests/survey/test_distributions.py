"""Distributions gathered in pieces against those of all numbers at once."""

import numpy as np
import pytest

from hydracalc.survey.distributions import Distribution, Histogram


def gathered(values, pieces, sample=10**6):
    distribution = Distribution(sample)
    for piece in np.array_split(values, pieces):
        distribution.add(piece)
    return distribution


def test_pieces_give_the_numbers_of_the_whole():
    values = np.random.default_rng(0).normal(1e6, 1e-2, 5000)  # a mean that hides the deviation
    found = gathered(values, 7).to_json()
    assert found["count"] == 5000
    assert found["mean"] == pytest.approx(values.mean(), rel=1e-12)
    assert found["std"] == pytest.approx(values.std(), rel=1e-6)
    quantiles = np.quantile(values, [0.01, 0.5, 0.99])
    assert [found["p01"], found["median"], found["p99"]] == pytest.approx(quantiles, rel=1e-12)
    assert (found["min"], found["max"]) == (values.min(), values.max())


def test_a_sample_is_even_over_all_pieces():
    """Sorted input: a sample of the first or last numbers would be far off."""
    values = np.arange(200_000.0)
    distribution = gathered(values, 50, sample=5000)
    assert distribution.quantiles((0.1, 0.5, 0.9)) == pytest.approx([2e4, 1e5, 1.8e5], abs=4e3)
    assert distribution.to_json()["mean"] == pytest.approx(values.mean())


def test_what_is_not_finite_is_absent():
    distribution = gathered(np.array([1.0, np.nan, 3.0, np.inf]), 2)
    assert distribution.to_json()["count"] == 2
    assert Distribution().to_json() is None
    assert Distribution().even_histogram() is None
    assert gathered(np.zeros(3), 1).log_histogram() is None


def test_a_histogram_counts_every_number_once():
    values = np.random.default_rng(1).lognormal(0, 2, 3000)
    distribution = gathered(values, 3)
    for histogram in (distribution.even_histogram(), distribution.log_histogram()):
        for piece in np.array_split(values, 4):
            histogram.add(piece)
        counts = histogram.to_json()
        assert sum(counts["counts"]) + counts["below"] + counts["above"] == 3000
        assert len(counts["edges"]) == len(counts["counts"]) + 1
    assert distribution.log_histogram().edges[-1] == pytest.approx(values.max())


def test_equal_numbers_have_a_histogram():
    distribution = gathered(np.full(5, 3.0), 1)
    histogram = distribution.even_histogram()
    histogram.add(np.full(5, 3.0))
    assert histogram.counts.sum() == 5


def test_bins_hold_what_is_between_their_edges():
    histogram = Histogram(np.array([0.0, 1.0, 2.0]))
    histogram.add(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 2.5, np.nan]))
    assert histogram.counts.tolist() == [2, 2]
    assert (histogram.below, histogram.above) == (1, 1)

"""Pairs are counted exactly in bounded memory, wherever they come."""

import numpy as np
import pytest

from hydracalc.validation.parity_grid import ParityGrid


def filled(parts):
    grid = ParityGrid()
    for labels, predictions in parts:
        grid.add(labels, predictions)
    return grid


def test_few_points_are_kept_as_they_are():
    labels, predictions = np.array([[1.0, np.nan], [2.0, 3.0]]), np.array([[1.1, 9.0], [2.2, 3.3]])
    cells = filled([(labels, predictions)]).cells()
    np.testing.assert_array_equal(cells.labels, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(cells.predictions, [1.1, 2.2, 3.3])
    assert cells.width == 0


@pytest.mark.parametrize("shift", [0.0, 40.0, -40.0])
def test_counts_stay_exact_when_the_range_doubles(shift):
    """Labels that leave the range on either side, in several steps: nothing is lost or moved."""
    rng = np.random.default_rng(0)
    parts = []
    for k in range(6):
        labels = rng.normal(k * shift, 1 + k, 3000)
        parts.append((labels, labels + rng.normal(0, 0.1, 3000)))
    grid = filled(parts)
    cells = grid.cells()
    assert grid.num_points == 18000
    assert cells.counts.sum() + grid.num_outside == 18000
    assert grid.num_outside < 20
    labels = np.concatenate([part[0] for part in parts])
    mean = np.average(cells.labels, weights=cells.counts)
    assert mean == pytest.approx(labels.mean(), abs=cells.width / 2)
    assert np.abs(cells.labels - cells.predictions).max() < 0.6 + 2 * cells.width
    assert np.ptp(labels) / cells.width > 100


def test_memory_does_not_grow_and_wild_predictions_do_not_coarsen():
    labels = np.linspace(-1, 1, 5000)
    grid = filled([(labels, labels), (labels, labels + 1e9)])
    cells = grid.cells()
    assert grid.num_outside == 5000
    assert cells.width < 0.01
    assert len(cells.counts) <= 512**2


def test_one_label_repeated_is_a_point_and_not_an_error():
    grid = filled([(np.zeros(3000), np.zeros(3000))])
    assert grid.cells().counts.tolist() == [3000]

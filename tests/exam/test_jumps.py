"""Jumps along a path, beside slopes that are much larger."""

import numpy as np
import pytest

from hydracalc.exam.jumps import Samples, worst_jump

POINTS = np.linspace(0, 1, 120)


def found(function, *, rounding=1e-12, mark=1e-5, points=POINTS):
    values = np.array([function(point) for point in points])
    ones = np.ones(len(points))
    return worst_jump(
        function, Samples(points=points, values=values, rounding=rounding * ones, marks=mark * ones)
    )


def wall(x):
    """Steep at the start, as atoms in contact are; a second, gentle function beside it."""
    return np.array([100 * np.exp(-12 * x), np.sin(9 * x)])


@pytest.mark.parametrize("place", [0.03, 0.31, 0.5003, 0.84, 0.97])
@pytest.mark.parametrize("size", [1e-4, -1e-2])
@pytest.mark.parametrize("column", [0, 1])
def test_a_jump_is_found_however_small_beside_the_slope(place, size, column):
    jump = found(lambda x: wall(x) + size * (x > place) * (np.arange(2) == column))
    assert jump.size == pytest.approx(abs(size), rel=0.02)
    assert jump.place == pytest.approx(place, abs=1e-4)


def test_a_smooth_function_has_none_above_the_mark():
    assert found(wall).size < 1e-5


def test_a_corner_is_no_jump():
    assert found(lambda x: np.array([max(0.0, x - 0.4)])).size < 1e-5


def test_rounding_is_no_jump():
    jump = found(lambda x: np.array([np.round(np.sin(x), 6)]), rounding=1e-4, mark=1e-3)
    assert jump.size < 1e-4


def test_what_is_no_number_is_told_with_its_place():
    jump = found(lambda x: wall(x) if x < 0.7 else np.full(2, np.nan))
    assert np.isnan(jump.size)
    assert jump.place == pytest.approx(0.7, abs=0.01)


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="10 points, expected at least 20"):
        found(wall, points=np.linspace(0, 1, 10))

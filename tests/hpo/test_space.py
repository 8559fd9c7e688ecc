"""Points of a search's space: within their ranges, evenly drawn, found again from values."""

import numpy as np
import pytest

from hydracalc.hpo.space import Range, Space, overrides_of

SPACE = Space(
    {
        "rate": Range(low=1e-5, high=1e-1, log=True),
        "layers": Range(low=2, high=4),
        "share": Range(low=0.0, high=1.0),
        "widths": Range(low=8, high=16, repeat=(1, 3)),
        "kind": Range(choices=("l1", [3, 4], True)),
        "fixed": Range(low=1, high=2, repeat=(2, 2)),
    }
)


def draws(count=600):
    rng = np.random.default_rng(0)
    return [SPACE.draw(rng) for _ in range(count)]


def test_points_fill_their_ranges_evenly():
    points = draws()
    layers = np.bincount([point["layers"] for point in points])
    assert layers[:2].sum() == 0
    assert layers[2:].min() > 150  # whole numbers at the ends as often as others
    logs = np.log10([point["rate"] for point in points])
    assert logs.min() > -5
    assert np.mean(logs) == pytest.approx(-3, abs=0.15)
    assert all(0 <= point["share"] <= 1 for point in points)
    assert {point["widths"] for point in points} == set(range(8, 17))


def test_values_are_those_of_the_recipe_and_lead_back_to_the_point():
    for point in draws(50):
        values = SPACE.values(point)
        assert values["kind"] in ("l1", [3, 4], True)
        assert set(values["widths"]) == {point["widths"]}
        assert 1 <= len(values["widths"]) <= 3
        assert len(values["fixed"]) == 2
        assert SPACE.locate(values) == point


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 1.0}, "rate is 1.0, not in its range"),
        ({"layers": 2.5}, "layers is 2.5"),
        ({"layers": True}, "layers is True"),
        ({"widths": [8, 9]}, "expected one value repeated"),
        ({"widths": [8] * 4}, "expected a list of 1 to 3 values"),
        ({"kind": "mse"}, 'kind is "mse"'),
        ({"fixed": [1]}, "expected a list of 2 to 2 values"),
    ],
)
def test_values_of_another_search_that_do_not_fit_say_why(change, message):
    values = SPACE.values(draws(1)[0]) | change
    with pytest.raises(ValueError, match=message):
        SPACE.locate(values)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 1}, "low is 1 and high None"),
        ({"low": 3, "high": 2}, "expected low below high"),
        ({"low": 0, "high": 2, "log": True}, "expected a positive number"),
        ({"low": 0, "high": 2, "choices": (1, 2)}, "choices go without"),
        ({"choices": (1, 1)}, "expected each once"),
        ({"low": 1, "high": 2, "repeat": (0, 2)}, "repeat is"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Range(**settings)


def test_overrides_are_toml():
    words = overrides_of({"a.b": 1e-05, "c": [8, 8], "d": "l1", "e": True})
    assert words == ["a.b=1e-05", "c=[8, 8]", 'd="l1"', "e=true"]

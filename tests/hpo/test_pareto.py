"""The front and the order of trials: properties that any numbers have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydracalc.hpo.pareto import costs, front, ranks, select_by

TABLES = st.lists(
    st.tuples(*[st.floats(1e-3, 1e3)] * 2, st.integers(1, 4)), min_size=1, max_size=12
).map(lambda rows: np.array(rows, dtype=np.float64))


def beats(one, other):
    return (one <= other).all() and (one < other).any()


@settings(deadline=None, max_examples=60)
@given(TABLES)
def test_the_front_is_exactly_what_nothing_beats(values):
    found = front(values)
    for row, is_best in zip(values, found, strict=True):
        assert is_best == (not any(beats(other, row) for other in values))
    assert found.any()


@settings(deadline=None, max_examples=60)
@given(TABLES)
def test_a_trial_never_comes_before_one_that_beats_it(values):
    keys = ("error", "joules", "ms")
    rows = [dict(zip(keys, row, strict=True)) for row in values.tolist()]
    order = select_by(rows, keys)
    assert sorted(order) == list(range(len(values)))
    for place, index in enumerate(order):
        assert not any(beats(values[later], values[index]) for later in order[place + 1 :])
    level = ranks(values)
    assert (np.diff(level[order]) >= 0).all()
    assert (level == 0).tolist() == front(values).tolist()


@settings(deadline=None, max_examples=60)
@given(TABLES, st.floats(1e-3, 1e3))
def test_the_order_does_not_depend_on_units(values, factor):
    scaled = values * np.array([1, factor, 1])
    assert costs(scaled, [1, 1, 1]) == pytest.approx(costs(values, [1, 1, 1]), abs=1e-9)


def test_the_trade_off_is_percent_for_percent():
    """2 % less error for 1 % more energy is worth it, half a percent less is not."""
    rows = [
        {"error": 1.0, "energy_joule": 100.0},
        {"error": 0.98, "energy_joule": 101.0},
        {"error": 0.995, "energy_joule": 102.0},
    ]
    assert select_by(rows, ("error", "energy_joule")) == [1, 0, 2]
    assert select_by(rows, ("error", "energy_joule"), trade_off={"energy_joule": 5.0})[0] == 0
    assert select_by(rows, ("error",), count=2) == [1, 2]
    assert select_by([], ("error",)) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"error": 1.0}, r"trial 1: energy_joule is None, expected .* \(it has error\)"),
        ({"error": 1.0, "energy_joule": float("nan")}, "energy_joule is nan"),
        ({"error": -1.0, "energy_joule": 1.0, "name": "0007"}, "trial 0007: error is -1.0"),
        ({"error": True, "energy_joule": 1.0}, "error is True"),
    ],
)
def test_what_is_no_number_is_refused_by_name(row, message):
    with pytest.raises(ValueError, match=message):
        select_by([{"error": 1.0, "energy_joule": 1.0}, row], ("error", "energy_joule"))


def test_a_trade_off_is_of_keys_that_count():
    rows = [{"error": 1.0}]
    with pytest.raises(ValueError, match="trade-off names 'joules', the keys are error"):
        select_by(rows, ("error",), trade_off={"joules": 1})
    with pytest.raises(ValueError, match="weight of error is 0"):
        select_by(rows, ("error",), trade_off={"error": 0})
    with pytest.raises(ValueError, match="count is 0"):
        select_by(rows, ("error",), count=0)
    with pytest.raises(ValueError, match="no key"):
        select_by(rows, ())

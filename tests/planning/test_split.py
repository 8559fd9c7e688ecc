"""Rows that models, simulations and measurements share."""

from dataclasses import replace

import pytest

from hydracalc.planning.split import (
    StepSplit,
    chosen_runs,
    efficiencies,
    from_lines,
    series,
    to_lines,
)

ROW = StepSplit(
    source="measured",
    run="r",
    layout="base",
    scaling="weak",
    ranks=1,
    structures=10.0,
    compute_s=0.6,
    collective_s=0.2,
    data_s=0.1,
    idle_s=0.1,
)
SLOWER = replace(ROW, ranks=4, structures=40.0, idle_s=1.1)


def test_parts_add_up_to_the_step():
    assert ROW.step_s == pytest.approx(1.0)
    assert ROW.structures_per_s == pytest.approx(10.0)
    assert replace(ROW, rest_s=0.25).step_s == pytest.approx(1.25)


def test_efficiency_is_of_the_fewest_ranks():
    assert efficiencies([SLOWER, ROW]) == pytest.approx([0.5, 1.0])


def test_efficiency_of_strong_scaling_is_the_same_ratio():
    """Twice the ranks in half the time is all of it."""
    half = replace(ROW, ranks=2, compute_s=0.3, collective_s=0.1, data_s=0.05, idle_s=0.05)
    assert efficiencies([ROW, half]) == pytest.approx([1.0, 1.0])


def test_a_layout_that_needs_many_ranks_is_compared_with_one_that_does_not():
    other = replace(SLOWER, layout="multitask")
    assert efficiencies([other]) == [1.0]
    assert efficiencies([other], among=[other, ROW]) == pytest.approx([0.5])
    assert efficiencies([other], among=[other, replace(ROW, scaling="strong")]) == [1.0]


def test_rows_come_back_from_their_lines():
    lines = to_lines([ROW, SLOWER])
    assert from_lines(lines) == [ROW, SLOWER]
    assert from_lines(lines + to_lines([ROW])) == [ROW, SLOWER, ROW]


def test_another_table_is_refused():
    with pytest.raises(ValueError, match=r"line 2: keys differ in \['x'\]"):
        from_lines(to_lines([ROW]) + to_lines([ROW]).replace('"ranks"', '"x": 1, "ranks"'))


def test_series_are_by_what_was_run_in_the_order_of_ranks():
    found = series([SLOWER, replace(ROW, layout="hybrid"), ROW])
    assert found[("measured", "r", "base", "weak")] == [ROW, SLOWER]
    assert len(found) == 2


def test_of_repeated_runs_one_is_taken_whole():
    runs = [replace(ROW, compute_s=each) for each in (0.9, 0.5, 0.6)]
    assert chosen_runs([*runs, SLOWER]) == [runs[2], SLOWER]
    assert chosen_runs([*runs, SLOWER], "fastest") == [runs[1], SLOWER]
    # of an even number the slower one in the middle
    assert chosen_runs([*runs, replace(ROW, compute_s=0.7)])[0].compute_s == 0.7
    other = replace(ROW, structures=31.0, compute_s=2.6)
    # speed counts: a run that takes longer for more is not slower
    assert chosen_runs([ROW, other, replace(ROW, compute_s=2.6)]) == [ROW]

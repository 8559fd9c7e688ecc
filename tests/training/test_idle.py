"""Waiting for a slower rank and waiting for the network are told apart."""

import numpy as np
import pytest

from hydracalc.training.idle import IdleTime, idle_report


def clocks(compute, wait):
    """What each rank's clock gives; arguments are (R, steps)."""
    given = []
    for own, waited in zip(compute, wait, strict=True):
        clock = IdleTime()
        for seconds in zip(own, waited, strict=True):
            clock.add(*seconds)
        given.append(clock.drain())
    return given


def test_idle_time_is_what_the_slowest_rank_made_the_others_wait():
    compute = [[3.0, 1.0], [1.0, 1.0]]
    wait = [[0.5, 0.5], [2.5, 0.5]]  # half a second a step is the network's
    report = idle_report(clocks(compute, wait))
    assert report.steps == 2
    assert report.imbalance.tolist() == [0, 2]
    assert report.idle_per_rank.tolist() == [0, 0.4]
    assert report.idle == pytest.approx(2 / 10)
    assert report.communication == pytest.approx(2 / 10)


def test_who_is_slow_may_change_from_step_to_step():
    """Sums over steps alone would say that both ranks work equally."""
    report = idle_report(clocks([[3.0, 1.0], [1.0, 3.0]], [[0.0, 2.0], [2.0, 0.0]]))
    assert report.idle_per_rank.tolist() == [1 / 3, 1 / 3]


def test_no_more_is_idle_than_was_waited():
    """A rank that is behind may overlap communication with its work."""
    report = idle_report(clocks([[3.0], [1.0]], [[0.0], [0.5]]))
    assert report.imbalance.tolist() == [0, 0.5]
    assert report.communication == 0


def test_reports_add_up_and_a_clock_starts_anew():
    clock = IdleTime()
    clock.add(1.0, 0.25)
    first = clock.drain()
    assert clock.drain().shape == (0, 2)
    clock.add(3.0, 0.75)
    both = idle_report([first]) + idle_report([clock.drain()])
    assert both.compute.tolist() == [4.0]
    assert both.wait.tolist() == [1.0]
    assert both.steps == 2
    assert both.idle == 0
    assert both.communication == pytest.approx(0.2)


def test_no_time_is_no_idle_time():
    report = idle_report([IdleTime().drain(), IdleTime().drain()])
    assert report.idle == 0
    assert np.isfinite(report.idle_per_rank).all()


def test_ranks_must_have_taken_the_same_steps():
    with pytest.raises(ValueError, match=r"ranks counted \[1, 2\] steps"):
        idle_report([np.zeros((1, 2)), np.zeros((2, 2))])
    with pytest.raises(ValueError, match="expected the same"):
        idle_report([])

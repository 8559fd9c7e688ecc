"""Times come from the clock, in turns, and the statistics of them are right."""

import numpy as np
import pytest
import torch

from hydracalc.benchmark import clock
from hydracalc.benchmark.clock import Effort

CPU = torch.device("cpu")


@pytest.fixture
def made_up_clock(monkeypatch):
    """A clock that only moves when a task says so, in ms."""
    now = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0] / 1000)
    return now


def test_every_task_is_timed_by_itself_and_in_turns(made_up_clock):
    calls = []

    def task(name, ms):
        def run():
            calls.append(name)
            made_up_clock[0] += ms

        return run

    effort = Effort(seconds=0, min_rounds=4, max_rounds=9, warm_up=2)
    tasks = {"quick": task("quick", 2.0), "slow": task("slow", 6.0)}
    times = clock.interleaved(tasks, effort=effort, device=CPU)
    assert calls == ["quick", "slow"] * 6
    np.testing.assert_allclose(times["quick"], [2.0] * 4)
    assert clock.ratio(times["slow"], times["quick"]) == pytest.approx(3.0)


@pytest.mark.parametrize(("ms", "rounds"), [(10.0, 20), (150.0, 10), (1.0, 40)])
def test_rounds_end_with_the_time_or_at_their_limits(made_up_clock, ms, rounds):
    effort = Effort(seconds=0.195, min_rounds=10, max_rounds=40, warm_up=0)

    def run():
        made_up_clock[0] += ms

    assert len(clock.interleaved({"task": run}, effort=effort, device=CPU)["task"]) == rounds


def test_a_real_clock_sees_real_work():
    effort = Effort(seconds=0, min_rounds=3, max_rounds=3, warm_up=0)
    times = clock.interleaved({"sum": lambda: sum(range(10_000))}, effort=effort, device=CPU)
    assert (times["sum"] > 0).all()


def test_the_summary_is_not_moved_by_one_disturbance():
    timing = clock.summary([1.0, 2.0, 3.0, 4.0, 1000.0])
    assert (timing.median_ms, timing.low_ms, timing.high_ms) == (3.0, 2.0, 4.0)
    assert (timing.min_ms, timing.mean_ms, timing.count) == (1.0, 202.0, 5)


def test_the_ratio_is_taken_within_rounds():
    """Both slow down together: the ratio stays."""
    noise = np.array([1.0, 5.0, 2.0, 9.0, 1.0])
    assert clock.ratio(3 * noise, noise) == pytest.approx(3.0)


@pytest.mark.parametrize("wrong", [{"min_rounds": 0}, {"min_rounds": 5, "max_rounds": 4}])
def test_an_effort_without_rounds_is_an_error(wrong):
    with pytest.raises(ValueError, match="min_rounds"):
        Effort(**wrong)

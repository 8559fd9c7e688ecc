"""A wait that takes too long ends the job, and MPI is given its moments meanwhile."""

import threading
import time

import pytest

from hydracalc.store.watch import Watch


@pytest.fixture
def events():
    return {"polled": threading.Event(), "ended": threading.Event()}


@pytest.fixture
def watch(events):
    watch = Watch(events["polled"].set, events["ended"].set)
    watch.start()
    yield watch
    watch.stop_all()


def test_a_wait_beyond_its_limit_ends_the_job_with_its_message(watch, events, capfd):
    with watch.waiting("rank 0: waited for rank 1", 0.05):
        assert events["ended"].wait(5)
    assert capfd.readouterr().err.startswith("rank 0: waited for rank 1\n")


def test_a_wait_within_its_limit_does_not(watch, events, capfd):
    for _ in range(3):
        with watch.waiting("too long", 5):
            time.sleep(0.02)
    assert not events["ended"].is_set()
    assert capfd.readouterr().err == ""


def test_others_are_answered_while_this_process_does_not_wait(watch, events):
    assert events["polled"].wait(5)


def test_the_thread_ends_with_its_last_user(watch, events):
    watch.start()
    watch.stop()
    events["polled"].clear()
    assert events["polled"].wait(5)
    watch.stop()
    events["polled"].clear()
    assert not events["polled"].wait(0.1)
    watch.start()
    assert events["polled"].wait(5)

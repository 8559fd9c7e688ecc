"""A lock that another process holds is waited for, and no longer than asked."""

import fcntl
import os
import threading

import pytest

from hydracalc.locks import is_free_within


@pytest.fixture
def held(tmp_path):
    """A file whose lock somebody holds, and the descriptor to close."""
    path = tmp_path / "some.lock"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return path, descriptor


def test_a_lock_that_stays_is_not_waited_for_beyond_the_time(held):
    path, descriptor = held
    assert not is_free_within(path, 0.2)
    os.close(descriptor)
    assert is_free_within(path, 0)


def test_a_lock_that_is_let_go_is_waited_for(held):
    path, descriptor = held
    timer = threading.Timer(0.3, os.close, (descriptor,))
    timer.start()
    assert is_free_within(path, 20)
    timer.join()


def test_a_file_system_without_locks_has_none_held(held, monkeypatch):
    path, descriptor = held

    def no_locks(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert is_free_within(path, 0)
    os.close(descriptor)

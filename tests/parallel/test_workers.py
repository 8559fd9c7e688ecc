"""Whoever does the tasks, results come in their order and errors reach everybody."""

import os
import signal

import pytest

from hydracalc.errors import DataError
from hydracalc.parallel.workers import Alone, Processes, find_workers

SCRIPT = """
import operator, os
from hydracalc.errors import DataError
from hydracalc.parallel.workers import find_workers

def fail(task):
    if task == 5:
        raise DataError("task 5 is bad")
    return task

def say(text):
    os.write(1, (text + chr(10)).encode())  # whole lines, whoever else writes

workers = find_workers()
seen = []
"""


def kill_me(task):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [Alone(), Processes(1), Processes(2), Processes(3)])
def test_results_come_in_the_order_of_the_tasks(workers):
    seen = []
    assert workers.run(str, range(7), seen.append) == list("0123456")
    assert sorted(seen) == list("0123456")
    assert workers.run(str, []) == []
    assert workers.on_root(lambda: 3) == 3
    assert workers.is_root


@pytest.mark.parametrize("workers", [Alone(), Processes(2)])
def test_an_error_of_a_task_is_raised(workers):
    with pytest.raises(ValueError, match="invalid literal"):
        workers.run(int, ["1", "x", "2"])


def test_a_killed_process_is_reported():
    with pytest.raises(DataError, match="one of 2 processes ended without a message"):
        Processes(2).run(kill_me, [1, 2])


def test_no_processes_are_refused():
    with pytest.raises(ValueError, match="number of processes is 0"):
        Processes(0)


@pytest.mark.parametrize(("count", "kind"), [(None, Alone), (1, Alone), (2, Processes)])
def test_without_a_launcher_the_count_decides(monkeypatch, count, kind):
    monkeypatch.setattr("hydracalc.parallel.launch.num_launched", lambda: 1)
    assert type(find_workers(count)) is kind


@pytest.mark.mpi
@pytest.mark.parametrize("count", [2, 3])
def test_ranks_share_tasks_and_all_get_all_results(ranks, count):
    code = SCRIPT + (
        "results = workers.run(operator.neg, range(7), seen.append)\n"
        "assert results == [0, -1, -2, -3, -4, -5, -6]\n"
        "assert workers.on_root(lambda: workers.is_root) is True\n"
        "say(('root' if workers.is_root else 'other') + f' {len(seen)}')\n"
    )
    result = ranks(code, count)
    assert result.returncode == 0, result.stderr
    lines = sorted(result.stdout.split("\n"))
    assert [line for line in lines if "root" in line] == [f"root {-(-7 // count)}"]
    assert lines.count("other 0") == count - 1


@pytest.mark.mpi
@pytest.mark.parametrize(
    "call", ["workers.run(fail, range(7))", "workers.on_root(lambda: fail(5))"]
)
def test_an_error_of_one_rank_is_raised_in_all(ranks, call):
    caught = "except DataError as error:\n    say('heard: ' + str(error))\n"
    code = f"{SCRIPT}try:\n    {call}\n{caught}"
    result = ranks(code, 3)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("heard: task 5 is bad") == 3


@pytest.mark.mpi
def test_another_number_than_launched_is_refused(ranks):
    code = "from hydracalc.parallel.workers import find_workers\nfind_workers(2)"
    result = ranks(code, 3)
    assert result.returncode != 0
    assert "2 ranks are asked for, but the launcher started 3" in result.stderr

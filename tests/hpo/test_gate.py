"""A trial waits at its rungs for the word of the search, however fast its epochs are."""

import json
import threading
import time

import pytest

from hydracalc.hpo.config import FidelityConfig
from hydracalc.hpo.gate import END, GO_ON, Gate, Leader, say
from hydracalc.hpo.journal import only_writer


def write(folder, epoch, seconds=1.0):
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"epoch": epoch, "step": epoch, "seconds": seconds}) + "\n")
        file.write(json.dumps({"epoch": epoch, "loss": 1.0}) + "\n")


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path, (0.25, 0.5), fidelity=FidelityConfig(epochs=8), is_leaving=lambda: False)


def later(seconds, call, *arguments):
    threading.Timer(seconds, call, arguments).start()


def test_it_waits_at_a_rung_and_only_there(gate, tmp_path):
    assert not gate.is_ending()
    write(tmp_path, 1)
    assert not gate.is_ending()
    write(tmp_path, 2)
    later(0.15, say, tmp_path, 0, GO_ON)
    begun = time.monotonic()
    assert not gate.is_ending()
    assert time.monotonic() - begun > 0.1
    write(tmp_path, 3)
    assert not gate.is_ending()
    write(tmp_path, 4)
    say(tmp_path, 1, END)
    assert gate.is_ending()


def test_a_trial_that_goes_on_after_a_kill_knows_the_words_it_was_given(gate, tmp_path):
    for epoch in (1, 2, 3, 4, 5):
        write(tmp_path, epoch)
    say(tmp_path, 0, GO_ON)
    say(tmp_path, 1, GO_ON)
    assert not gate.is_ending()


def test_it_does_not_wait_for_a_search_that_is_gone(tmp_path):
    write(tmp_path, 5)
    with only_writer(tmp_path) as token:
        leader, other = Leader(tmp_path, token), Leader(tmp_path, "of a search before")
        time.sleep(0.25)
        assert not leader.is_gone()
        assert other.is_gone()
    fidelity = FidelityConfig(epochs=8)
    gate = Gate(tmp_path, (0.25,), fidelity=fidelity, is_leaving=leader.is_gone)
    assert gate.is_ending()


def test_time_counts_where_minutes_are_the_fidelity(tmp_path):
    fidelity = FidelityConfig(epochs=1000, minutes=1.0)
    gate = Gate(tmp_path, (0.5,), fidelity=fidelity, is_leaving=lambda: False)
    write(tmp_path, 1, seconds=29.0)
    assert not gate.is_ending()
    write(tmp_path, 2, seconds=31.0)
    say(tmp_path, 0, END)
    assert gate.is_ending()

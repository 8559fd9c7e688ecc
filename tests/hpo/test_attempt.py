"""A trial's process: several ranks, time that is over, kills, and memory that is not there."""

import sys
import time

import pytest
import torch

from hydracalc.hpo.attempt import Attempt, Place, command, wait_for_orphan
from hydracalc.hpo.config import TrialConfig
from hydracalc.hpo.journal import only_writer
from hydracalc.hpo.trial import reason_of


def ended(attempt, seconds=60):
    """The trial, once its process has ended."""
    attempt.start()
    deadline = time.monotonic() + seconds
    while attempt.is_running:
        assert time.monotonic() < deadline
        attempt.look()
        attempt.watch_clock()
        time.sleep(0.02)
    return attempt.outcome()


@pytest.fixture
def attempt(toy, tmp_path, only_rates):
    """Function (trial settings) -> an attempt."""
    with only_writer(tmp_path) as token:

        def make(**settings):
            config = toy(trial=TrialConfig(**settings), space=only_rates)
            values = {"trainer.schedule.learning_rate": 5e-3}
            return Attempt(
                0,
                values,
                recipe=config.trial_recipe(values, name="toy-0000"),
                config=config,
                rungs=(),
                place=Place(search=tmp_path, worker=0, token=token),
            )

        yield make


@pytest.mark.mpi
def test_a_trial_of_several_ranks_counts_the_energy_of_all(attempt):
    one = attempt(ranks=2)
    trial = ended(one)
    assert trial.status == "done", (trial.reason, (one.folder / "log.txt").read_text())
    assert [path.name for path in sorted((one.folder / "energy").iterdir())] == [
        "rank-0.json",
        "rank-1.json",
    ]
    assert trial.energy_joule > 0


def test_a_trial_whose_time_is_over_is_ended_and_recorded(attempt):
    trial = ended(
        attempt(launcher=("sh", "-c", "sleep 60"), timeout_minutes=0.002, stop_seconds=0.5)
    )
    assert (trial.status, trial.reason) == ("failed", "timed out after 0.002 minutes")


def test_a_trial_that_does_not_follow_is_killed(attempt):
    deaf = ("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    trial = ended(attempt(launcher=deaf, timeout_minutes=0.002, stop_seconds=0.2), seconds=20)
    assert "timed out" in trial.reason


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -9 $$", "killed by SIGKILL, perhaps for want of memory"),
        ("exit 7", "ended with exit code 7 and no result; see log.txt"),
    ],
)
def test_a_trial_that_dies_without_a_word_is_a_recorded_failure(attempt, script, reason):
    trial = ended(attempt(launcher=("sh", "-c", script)))
    assert (trial.status, trial.reason) == ("failed", reason)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_want_of_memory_is_called_that(error):
    assert reason_of(error).startswith("out of memory: ")
    assert not reason_of(ValueError("loss is not finite")).startswith("out of memory")


def test_the_launcher_is_told_ranks_worker_and_folder(tmp_path):
    place = Place(search=tmp_path, worker=3, token="")
    launcher = ("env", "CUDA_VISIBLE_DEVICES={worker}", "srun", "-n", "{ranks}")
    words = command(TrialConfig(ranks=4, launcher=launcher), place, tmp_path)
    assert words[:5] == ["env", "CUDA_VISIBLE_DEVICES=3", "srun", "-n", "4"]
    assert words[5:] == [sys.executable, "-m", "hydracalc.hpo.trial", str(tmp_path)]
    assert command(TrialConfig(ranks=2), place, tmp_path)[1:3] == ["-n", "2"]
    with pytest.raises(ValueError, match="does not say {ranks}"):
        TrialConfig(ranks=2, launcher=("srun",))


def test_a_trial_that_another_process_still_runs_is_not_begun_again(tmp_path):
    import fcntl

    with (tmp_path / "running.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="still runs this trial"):
            wait_for_orphan(tmp_path, 0.2)
    wait_for_orphan(tmp_path, 0.2)

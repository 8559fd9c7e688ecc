"""kill -9 in the middle of a search, then go on: nothing is lost and nothing is done twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from hydracalc.hpo.curve import validations
from hydracalc.hpo.journal import JOURNAL, append, read_journal, read_settings, trial_folder
from hydracalc.hpo.search import search

ROOT = Path(__file__).parents[2]


def test_a_search_killed_in_the_middle_of_a_trial_goes_on_and_loses_nothing(
    workplace, tmp_path, made_up, toy, only_rates
):
    """One trial has ended, one is under way when the search is killed without a word."""
    folder = tmp_path / "search"
    text = (workplace / "toy.toml").read_text().replace('"schnet", "nonesuch"', '"schnet"')
    text = text.replace("epochs = 4", "epochs = 60").replace("workers = 2", "workers = 1")
    (workplace / "long.toml").write_text(text)
    words = ["hpo", str(workplace / "long.toml"), "--trials", "2", "-o", str(folder)]
    command = [sys.executable, "-m", "hydracalc", *words, "--sampler", "random", "--seed", "3"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        running = trial_folder(folder, 0)
        deadline = time.monotonic() + 60
        while len(validations(running)) < 3 and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        # as if another trial had ended before, and a line were being written
        values = json.loads((running / "point.json").read_text())
        before = made_up(7, values=values)
        append(folder, before)
        with (folder / JOURNAL).open("a") as journal:
            journal.write('{"number": 8, "sta')
        process.send_signal(signal.SIGKILL)
    config = read_settings(folder)
    trials = search(config, folder, goes_on=True)
    assert trials[0] == before
    assert [trial.number for trial in trials] == [7, 0]
    gone_on = trials[1]
    assert gone_on.status == "done"
    assert gone_on.values == values
    assert [epoch for _, epoch, _ in gone_on.curve] == list(range(1, 61))
    log = (running / "log.txt").read_text()
    assert "state saved" in log  # the orphan noticed, and left off where it was
    assert log.count("epoch 1, ") == 1
    assert read_journal(folder) == trials

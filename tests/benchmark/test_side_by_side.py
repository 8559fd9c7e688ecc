"""The scripts of benchmarks/ work end to end: processes, turns, tables, files.

Peers are not installed here; hydracalc stands in for one. What peers themselves do was tried with
each of them, see benchmarks/README.md.
"""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hydracalc.benchmark import training
from hydracalc.graphs.neighbors import neighbor_list

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a script in a folder of its own: the click result."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)

    def invoke(script, *arguments, code=0):
        main = importlib.import_module(script).main
        result = CliRunner().invoke(main, [str(word) for word in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


@pytest.fixture
def protocol(monkeypatch):
    """The module that workers share, imported as they do."""
    monkeypatch.syspath_prepend(str(FOLDER / "workers"))
    return importlib.import_module("protocol")


def test_dynamics_beside_a_peer_that_cannot(run, tmp_path, small_model):
    """SchNetPack's worker is asked for what it does not do, which is said and not fatal."""
    peers = ("--peer", f"hydracalc={sys.executable}", "--peer", f"schnetpack={sys.executable}")
    options = ("--sizes", "Si8", "--rounds", 2, "--seconds", 0, "--threads", 1)
    model = ("--model", small_model, "--branch", "general")
    done = run("compare", "md", *peers, *options, *model, code=1)
    # its package is missing here, so that already "about" fails, in one message
    assert "schnetpack: PackageNotFoundError" in done.stderr
    done = run("compare", "md", *options, *model)
    found = json.loads((tmp_path / "compare-md.json").read_text())
    (row,) = found["rows"]
    assert (row["task"], row["peer"], row["ratio"], row["steps"]) == ("Si8", "hydracalc", 1.0, 6)
    assert 0 < row["min_ms"] <= row["median_ms"]
    assert found["peers"]["hydracalc"]["threads"] == 1
    assert "Si8" in done.stdout


def test_a_process_that_does_not_start_is_one_message(run, tmp_path):
    """What stands for its Python says why it cannot, and ends."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such environment >&2\nexit 1\n")
    python.chmod(0o755)
    options = ("--sizes", "Si8", "--threads", 1, "--peer", f"hydracalc={python}")
    done = run("compare", "md", *options, code=1)
    assert "hydracalc: the process ended: no such environment" in done.stderr
    assert not (tmp_path / "compare-md.json").exists()


def test_training_on_the_batch_of_the_comparison(run, tmp_path):
    options = ("--channels", "8", "--rounds", 1, "--seconds", 0, "--threads", 1)
    run("compare", "train", *options, "--output", "out.json")
    (row,) = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert row["task"] == "8 channels"
    assert row["details"]["edges"] == 7814


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("md", "--peer", "chgnt=python"), "peer 'chgnt' is unknown (known: chgnet"),
        (("md", "--peer", "chgnet=/no/python"), "there is no Python at '/no/python'"),
        (("md", "--sizes", "Si9"), "size 9: expected 12 (benzene) or a multiple of 8"),
        (("train", "--channels", "wide"), "channels are 'wide', expected e.g. 64,128"),
    ],
)
def test_wrong_arguments_are_one_message(run, arguments, message):
    assert message in run("compare", *arguments, code=2).stderr


def test_messages_are_timed_and_agree(run, tmp_path):
    options = ("--channels", "4", "--rounds", 2, "--threads", 1, "--crystal", 8)
    run("messages", *options)
    rows = json.loads((tmp_path / "messages.json").read_text())["rows"]
    assert len(rows) == 6
    for row in rows:
        assert row["hydracalc_ms"] > 0
        assert row["autograd_ms"] > 0
        assert row["largest_relative_difference"] < 1e-5


def test_workers_find_the_same_pairs_as_the_library(protocol):
    for each in training.clusters(3):
        receivers, senders = protocol.near_pairs(each.positions, 5.0)
        edges = neighbor_list(each.positions, each.cell, each.pbc, 5.0)
        ours = set(zip(edges.receivers.tolist(), edges.senders.tolist(), strict=True))
        assert set(zip(receivers.tolist(), senders.tolist(), strict=True)) == ours
        assert (np.diff(receivers) >= 0).all()


def test_a_worker_answers_errors_and_goes_on(protocol):
    """What a peer prints does not get between its answers."""
    script = shutil.which(sys.executable) or sys.executable
    code = (
        f"import sys; sys.path.insert(0, {str(FOLDER / 'workers')!r})\n"
        "from protocol import Worker, serve\n"
        "class Noisy(Worker):\n"
        "    package, about = 'torch', 'noise'\n"
        "    def calculator(self):\n"
        "        print('hello', flush=True)\n"
        "        raise RuntimeError('no weights')\n"
        "serve(Noisy)\n"
    )
    system = {"name": "H", "timestep": 1.0, "numbers": [1], "positions": [[0, 0, 0]]}
    system |= {"momenta": [[0, 0, 0]], "cell": [0, 0, 0], "pbc": False}
    requests = [
        {"command": "md", "system": system, "steps": 1},
        {"command": "dance"},
        {"command": "about"},
        {"command": "quit"},
    ]
    done = subprocess.run(
        [script, "-c", code, "--threads", "1"],
        input="".join(json.dumps(each) + "\n" for each in requests),
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert first == {"error": "RuntimeError: no weights"}
    assert "unknown command 'dance'" in second["error"]
    assert third["about"] == "noise"
    assert "hello" in done.stderr

"""Job scripts are valid shell, end themselves in time and call commands that hydracalc has."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "recipes" / "launch").glob("*.sh"))
SLURM = [path for path in SCRIPTS if "#SBATCH" in path.read_text()]

# stand-ins for the machine's commands: those that start processes run a pretend hydracalc, the
# others note what they are called with
PRETEND = """#!/bin/bash
echo "$(basename "$0") $*" >> "$NOTES"
case $(basename "$0") in
    srun | timeout) [ -z "$FINISHES" ] || { mkdir -p "$RUN"; touch "$RUN/model.safetensors"; }
        exit "${CODE:-0}" ;;
esac
"""
COMMANDS = ("srun", "timeout", "scontrol", "qsub", "module")
JOB = {
    "SLURM_JOB_ID": "77",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_ACCOUNT": "MAT000",
    "SLURM_CPUS_PER_TASK": "8",
    "SLURM_ARRAY_JOB_ID": "70",
    "SLURM_ARRAY_TASK_ID": "2",
    "CRAY_LD_LIBRARY_PATH": "/opt/cray/lib",
    "MEMBERWORK": "/member",
    "SCRATCH": "/scratch",
}


@pytest.fixture
def submit(tmp_path):
    """Function (script, **variables) -> exit code and commands that the script ran."""
    (tmp_path / "bin").mkdir()
    for name in COMMANDS:
        command = tmp_path / "bin" / name
        command.write_text(PRETEND)
        command.chmod(0o755)
    (tmp_path / "bin" / "activate").write_text("")
    (tmp_path / "nodes").write_text("x1\nx2\nx1\n")
    (tmp_path / "settings").write_text("seed=1\nseed=2 model.cutoff=6.0\n")
    notes, run = tmp_path / "notes", tmp_path / "run"
    job = JOB | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "VENV": str(tmp_path),
        "NOTES": str(notes),
        "RUN": str(run),
        "RUNS": str(tmp_path),
        "SETTINGS": str(tmp_path / "settings"),
        "PBS_NODEFILE": str(tmp_path / "nodes"),
        "PBS_O_WORKDIR": str(tmp_path),
        "FINISHES": "",
        "CODE": "0",
    }

    def run_script(script, **variables):
        notes.write_text("")
        environment = job | variables
        if "ARRAY" in script.read_text():
            environment["RUN"] = str(tmp_path / "2")
        done = subprocess.run(
            ["bash", script], env=environment, capture_output=True, text=True, timeout=20
        )
        return done.returncode, notes.read_text().splitlines()

    return run_script


def test_every_site_has_a_script():
    assert {path.stem for path in SCRIPTS} == {"aurora", "frontier", "perlmutter", "slurm-search"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_valid_shell_and_cites_its_source(script):
    checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "https://" in script.read_text()


@pytest.mark.parametrize("script", SLURM, ids=lambda path: path.stem)
def test_slurm_is_asked_for_a_signal_in_time_to_save(script):
    """To the tasks, not to the shell of the job, which would need to pass it on."""
    options = re.findall(r"^#SBATCH (\S+)", script.read_text(), re.MULTILINE)
    (seconds,) = (re.fullmatch(r"--signal=USR1@(\d+)", o)[1] for o in options if "signal" in o)
    assert int(seconds) >= 120
    assert "--requeue" in options


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_run_that_was_stopped_goes_back_into_the_queue(submit, script):
    code, commands = submit(script)
    assert code == 0
    assert commands[-1].startswith(("scontrol requeue 7", "qsub -v RECIPE=mtl-all,RUN="))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("variables", "code"), [({"FINISHES": "yes"}, 0), ({"CODE": "3"}, 3)], ids=["done", "failed"]
)
def test_a_run_that_is_done_or_failed_does_not(submit, script, variables, code):
    ended, commands = submit(script, **variables)
    assert ended == code
    assert commands[-1].startswith(("srun", "timeout"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_command_line_is_one_that_hydracalc_takes(submit, script):
    from hydracalc.cli.train import pretrain
    from hydracalc.recipe import load_recipe

    _, commands = submit(script)
    (line,) = (command for command in commands if command.startswith(("srun", "timeout")))
    words = shlex.split(line)
    arguments = words[words.index("hydracalc") + 1 :]
    assert arguments[0] == "pretrain"
    context = pretrain.make_context("pretrain", arguments[1:])
    load_recipe(context.params["recipe"], context.params["overrides"])
    assert context.params["output"] is not None

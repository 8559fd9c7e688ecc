"""Kills a pretraining of several ranks at random moments and continues it, until it ends.

    python benchmarks/kills.py RECIPE data_dir=shards --ranks 2 --kills 50

The weights must be those of a run that nobody disturbed, bit for bit. What is lost by a kill is at
most the work since the state was saved; here it is saved after every step.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import torch
from safetensors import safe_open
from safetensors.torch import load_file

MPIEXEC = Path(sys.prefix) / "bin" / "mpiexec"


def steps_of(folder: Path) -> str:
    """Where the state of a run is, as it says; empty where there is none."""
    path = folder / "state.safetensors"
    if not path.is_file():
        return ""
    with safe_open(path, framework="pt") as file:
        return str(file.metadata()["state"])


def start(words: list[str], ranks: int, folder: Path) -> subprocess.Popen:
    """Begin or continue a run."""
    command = [str(MPIEXEC), "-n", str(ranks), sys.executable, "-m", "hydracalc", "pretrain"]
    more = ["trainer.training.save_minutes=0", "--continue", "-o", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *words, *more],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process: subprocess.Popen) -> None:
    """End the launcher and all ranks at once, without a word to any."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@click.command(help=__doc__)
@click.argument("recipe")
@click.argument("overrides", nargs=-1)
@click.option("--ranks", default=2, show_default=True)
@click.option("--kills", default=50, show_default=True)
@click.option("--longest", default=8.0, show_default=True, help="Seconds before a kill, at most.")
@click.option("--seed", default=0, show_default=True)
def main(
    recipe: str, overrides: tuple[str, ...], ranks: int, kills: int, longest: float, seed: int
) -> None:
    """Disturb one run, leave another alone, compare."""
    moments = random.Random(seed)
    folder = Path(tempfile.mkdtemp())
    words = [recipe, *overrides]
    done, advanced, began = 0, 0, time.monotonic()
    while done < kills and not (folder / "broken" / "model.safetensors").is_file():
        before = steps_of(folder / "broken")
        process = start(words, ranks, folder / "broken")
        try:
            process.wait(moments.uniform(0.5, longest))
        except subprocess.TimeoutExpired:
            kill(process)
            done += 1
            advanced += steps_of(folder / "broken") != before
    ended_early = (folder / "broken" / "model.safetensors").is_file()
    for name in ("broken", "whole"):
        if start(words, ranks, folder / name).wait() != 0:
            raise SystemExit(f"the run in {folder / name} failed")
    one, other = (load_file(folder / n / "model.safetensors") for n in ("broken", "whole"))
    same = all(torch.equal(one[name], other[name]) for name in one)
    click.echo(
        f"{done} kills in {time.monotonic() - began:.0f} s, {advanced} of them after at least one "
        f"saved step{', the run ended before more' if ended_early else ''}; weights "
        f"{'equal, bit for bit' if same else 'DIFFER'}"
    )
    shutil.rmtree(folder)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()

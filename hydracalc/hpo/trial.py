"""One trial, in a process of its own or in as many as it has ranks.

It is a pretraining that writes down its energy, waits at rungs for the search's word, and leaves a
result:

    python -m hydracalc.hpo.trial FOLDER

The search has put the recipe and trial.json there. Whatever happens the folder says so:
result.json when the run came to an end or was asked to, failure.json when it raised; if neither is
there, the process was killed.
"""

import fcntl
import json
import logging
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from hydracalc.hpo.config import EnergyConfig, FidelityConfig
from hydracalc.hpo.energy import EnergyMeter, rank_file
from hydracalc.hpo.gate import Gate, Leader
from hydracalc.parallel.ending import Ending, in_words, joined
from hydracalc.parallel.launch import Launch
from hydracalc.recipe import load_recipe
from hydracalc.run.pretrain import pretrain

ORDER, RECIPE, RESULT, FAILURE = "trial.json", "given.toml", "result.json", "failure.json"
RUNNING = "running.lock"
# how torch says that there is no memory left, beside its own error for GPUs
_NO_MEMORY = ("not enough memory", "can't allocate memory", "Cannot allocate memory")


@dataclass(frozen=True, kw_only=True)
class TrialOrder:
    """What a search tells a trial, beside its recipe.

    Attributes:
        search: folder of the search.
        token: of the process that leads it.
        rungs: parts of the whole trial after which it waits for a word.
        fidelity: what the whole trial is.
        energy: how it is counted.
    """

    search: str
    token: str
    rungs: tuple[float, ...]
    fidelity: FidelityConfig
    energy: EnergyConfig


def write_json(path: Path, table: dict[str, Any]) -> None:
    """Write a small file, whole or not at all."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(table) + "\n")
    unfinished.rename(path)


def give_order(trial: Path, order: TrialOrder, recipe: str) -> None:
    """Put into a trial's folder what it needs.

    Args:
        trial: folder, made if need be.
        order: what the search tells it.
        recipe: of the trial, TOML.
    """
    trial.mkdir(parents=True, exist_ok=True)
    (trial / RECIPE).write_text(recipe)
    write_json(trial / ORDER, asdict(order))


def run(trial: Path) -> None:
    """Train as ordered; collective over the ranks of the trial."""
    order = TypeAdapter(TrialOrder).validate_json((trial / ORDER).read_text())
    with joined() as launch, Ending(launch) as ending, ExitStack() as stack:
        if launch.is_root:
            lock = stack.enter_context((trial / RUNNING).open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        meter = EnergyMeter(rank_file(trial, launch.rank), launch.device, order.energy)
        stack.enter_context(meter)
        try:
            is_done = _train(trial, order, launch, ending)
        except Exception as error:
            if not (trial / FAILURE).exists():  # the first rank that fails knows why
                write_json(trial / FAILURE, {"rank": launch.rank, "reason": reason_of(error)})
            raise
        meter.write()
        if launch.is_root:
            write_json(trial / RESULT, {"status": "done" if is_done else "ended"})


def _train(trial: Path, order: TrialOrder, launch: Launch, ending: Ending) -> bool:
    """Whether the run came to its end."""
    leader = Leader(Path(order.search), order.token)

    def is_leaving() -> bool:
        return ending.heard is not None or (launch.is_root and leader.is_gone())

    gate = Gate(trial, order.rungs, fidelity=order.fidelity, is_leaving=is_leaving)
    path = pretrain(
        load_recipe(trial / RECIPE),
        trial,
        resume=(trial / "state.safetensors").is_file(),
        is_ending=gate.is_ending if launch.is_root else is_leaving,
        device=launch.device,
    )
    return path is not None


def reason_of(error: Exception) -> str:
    """Why a trial failed, in one line."""
    text, _ = in_words(error)
    line = " ".join(text.split())
    is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if is_memory or any(words in line for words in _NO_MEMORY):
        return f"out of memory: {line}"
    return line


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run(Path(sys.argv[1]))

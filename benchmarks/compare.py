"""hydracalc beside its peers, in turns within one run: dynamics and training steps.

    python benchmarks/compare.py md --peer chgnet=peers/bin/python --sizes benzene,Si64,Si216
    python benchmarks/compare.py train --peer schnetpack=peers/bin/python --channels 64,128

Every peer runs in an environment of its own (README.md beside this file) as a process that answers
commands. In each round every process takes some steps while the others wait, so that whatever
else the machine does meets all of them.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hydracalc.benchmark import clock, machine, systems, training

WORKERS = Path(__file__).parent / "workers"
PEERS = ("chgnet", "hydracalc", "mace", "schnetpack", "sevenn")
OURS = "hydracalc"
COMPILED = "hydracalc, compiled"

SHAPE = {"layers": 3, "radial": 16, "cutoff": 5.0}
MOST_STEPS, FEWEST_STEPS, WARM_UP = 300, 3, 2


@dataclass(frozen=True)
class Row:
    """One process on one task.

    Attributes:
        task: structure, or shape of the trained model.
        peer: name of the process.
        median_ms, min_ms: of a step.
        ratio: to hydracalc's step, median over rounds of the medians within each.
        steps: measured, all rounds together.
        details: edges and parameters, where it trains.
    """

    task: str
    peer: str
    median_ms: float
    min_ms: float
    ratio: float
    steps: int
    details: dict[str, int]


class Peer:
    """A process that answers commands.

    Args:
        name: for the table.
        worker: name of its script.
        python: interpreter of its environment.
        threads: that it may use.
        options: that its worker takes.
    """

    def __init__(
        self, name: str, worker: str, *, python: str, threads: int, options: dict[str, Any]
    ) -> None:
        self.name = name
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # as long as the process
        command = [python, str(WORKERS / f"{worker}_worker.py"), "--threads", str(threads)]
        count = {key: str(threads) for key in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        self._process = subprocess.Popen(
            [*command, "--options", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,  # a file: a pipe that nobody reads would fill up
            text=True,
            env={**os.environ, **count},
        )

    def ask(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401
        """The answer to a command.

        Raises:
            PeerError: it failed; the message says how.
        """
        try:
            self._send(request)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._said.seek(0)
            words = self._said.read().strip().splitlines() or ["no message"]
            raise PeerError(f"{self.name}: the process ended: {words[-1]}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.name}: {answer['error']}")
        return answer

    def quit(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self._send({"command": "quit"})
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def _send(self, request: dict[str, Any]) -> None:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()


class PeerError(Exception):
    """A peer could not do what it was asked."""


def measure(
    peers: list[Peer], requests: dict[str, dict[str, Any]], *, rounds: int, seconds: float
) -> tuple[list[Row], list[str]]:
    """Every task by every peer that can do it, in turns.

    Args:
        peers: ours first.
        requests: command of each task, without the number of steps.
        rounds: turns of every peer.
        seconds: about how long a turn is.

    Returns:
        rows, and what failed.
    """
    rows, failures = [], []
    for task, request in requests.items():
        first = {}
        for peer in peers:
            try:
                peer.ask(**request, steps=WARM_UP)
                first[peer] = peer.ask(**request, steps=FEWEST_STEPS)
            except PeerError as error:
                if peer.name == OURS:
                    raise
                failures.append(f"{task}: {error}")
        edges = {answer.get("edges") for answer in first.values()}
        if len(edges) > 1:
            raise PeerError(f"{task}: numbers of edges differ: {edges}")
        turns = _turns(request, first, rounds=rounds, seconds=seconds)
        rows += [_row(task, peer.name, turns, first[peer]) for peer in first]
    return rows, failures


def _turns(
    request: dict[str, Any], first: dict[Peer, dict[str, Any]], *, rounds: int, seconds: float
) -> dict[str, list[list[float]]]:
    """Times of every turn of every process, ms; turns go back and forth.

    Args:
        request: the task.
        first: what each process answered before, which tells how many steps make a turn.
        rounds: turns of every process.
        seconds: about how long a turn is.
    """
    steps = {
        peer: min(max(round(1000 * seconds / min(answer["ms"])), FEWEST_STEPS), MOST_STEPS)
        for peer, answer in first.items()
    }
    turns: dict[str, list[list[float]]] = {peer.name: [] for peer in first}
    for number in range(rounds):
        for peer in list(first)[:: 1 if number % 2 == 0 else -1]:
            turns[peer.name].append(peer.ask(**request, steps=steps[peer])["ms"])
    return turns


def _row(task: str, name: str, turns: dict[str, list[list[float]]], answer: dict[str, Any]) -> Row:
    every = np.concatenate(turns[name])
    medians = np.array([np.median(turn) for turn in turns[name]])
    ours = np.array([np.median(turn) for turn in turns[OURS]])
    return Row(
        task=task,
        peer=name,
        median_ms=float(np.median(every)),
        min_ms=float(every.min()),
        ratio=clock.ratio(medians, ours),
        steps=len(every),
        details={key: value for key, value in answer.items() if key != "ms"},
    )


def start(
    given: tuple[str, ...], threads: int, options: dict[str, Any], *, compiled: bool
) -> list[Peer]:
    """The processes, ours first.

    Args:
        given: "name=path of a Python" of each peer.
        threads: of each process.
        options: of our calculator.
        compiled: also one of ours that compiles.

    Raises:
        click.BadParameter: a peer is unknown, or its Python does not exist.
    """
    pythons = {}
    for text in given:
        name, _, python = text.partition("=")
        if name not in PEERS:
            raise click.BadParameter(f"peer {name!r} is unknown (known: {', '.join(PEERS)})")
        if not Path(python).is_file():
            raise click.BadParameter(f"peer {text!r}: there is no Python at {python!r}")
        pythons[name] = python
    ours = pythons.pop(OURS, sys.executable)
    peers = [Peer(OURS, OURS, python=ours, threads=threads, options=options)]
    if compiled:
        compiling = {**options, "compile": True}
        peers.append(Peer(COMPILED, OURS, python=ours, threads=threads, options=compiling))
    return peers + [
        Peer(name, name, python=python, threads=threads, options={})
        for name, python in pythons.items()
    ]


def system_request(system: systems.System) -> dict[str, Any]:
    """The command that takes steps of a structure."""
    atoms = system.atoms
    return {
        "command": "md",
        "system": {
            "name": system.name,
            "timestep": system.timestep,
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "momenta": atoms.get_momenta().tolist(),
            "cell": atoms.cell.tolist(),
            "pbc": atoms.pbc.tolist(),
        },
    }


def training_request(channels: int) -> dict[str, Any]:
    """The command that trains a model of this width: the same batch for all."""
    batch = [
        {
            "numbers": each.atomic_numbers.tolist(),
            "positions": each.positions.tolist(),
            "energy": each.energy,
            "forces": each.forces.tolist(),
        }
        for each in training.clusters()
    ]
    return {"command": "train", "shape": {**SHAPE, "channels": channels}, "batch": batch}


def report(
    title: str,
    peers: list[Peer],
    requests: dict[str, dict[str, Any]],
    *,
    rounds: int,
    seconds: float,
    output: Path,
) -> None:
    """Measure, print a table, write a file, end the processes."""
    try:
        found = {peer.name: peer.ask(command="about") for peer in peers}
        rows, failures = measure(peers, requests, rounds=rounds, seconds=seconds)
    except PeerError as error:
        raise click.ClickException(str(error)) from None
    finally:
        for peer in peers:
            peer.quit()
    here = machine.describe(torch.device("cpu"))
    threads = found[OURS]["threads"]
    content = {
        "machine": asdict(here) | {"threads": threads},
        "rounds": rounds,
        "peers": found,
        "rows": [asdict(row) for row in rows],
        "failures": failures,
    }
    output.write_text(json.dumps(content, indent=2) + "\n")
    console = Console(width=120)
    console.print(f"{here.processor}, {here.cores} cores, {threads} threads, {rounds} rounds")
    for name, about in found.items():
        line = f"{name}: {about['package']} {about['version']}, torch {about['torch']}: "
        console.print(line + about["about"], highlight=False)
    console.print(_table(title, rows), *failures, f"written: {output}", sep="\n")


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("task", "peer", "ms/step", "min", "times hydracalc", "steps", "details"):
        table.add_column(name, justify="left" if name in ("task", "peer", "details") else "right")
    for row in rows:
        details = ", ".join(f"{value} {key}" for key, value in row.details.items())
        times = (f"{row.median_ms:.2f}", f"{row.min_ms:.2f}", f"{row.ratio:.2f}")
        table.add_row(row.task, row.peer, *times, str(row.steps), details)
    return table


def size_of(word: str) -> str:
    """Number of atoms of a size as written: benzene, Si64 or 64."""
    return str(systems.BENZENE) if word.strip() == "benzene" else word.strip().removeprefix("Si")


@click.group()
def main() -> None:
    """Compare hydracalc with its peers, in turns within one run."""


@main.command()
@click.option("--peer", multiple=True, help="name=path of the Python of its environment.")
@click.option("--threads", default=2, show_default=True, help="Of each process.")
@click.option("--sizes", default="benzene,Si64,Si216", show_default=True)
@click.option("--rounds", default=5, show_default=True, help="Turns of each process.")
@click.option("--seconds", default=1.0, show_default=True, help="About how long a turn is.")
@click.option("--model", default="mtl-all", show_default=True, help="Of hydracalc.")
@click.option("--branch", default=None, help="Of hydracalc's model.")
@click.option("--dtype", default="auto", show_default=True, help="Of hydracalc.")
@click.option("--compile", "compiled", is_flag=True, help="Also hydracalc, compiled.")
@click.option("--output", default="compare-md.json", type=click.Path(path_type=Path))
def md(  # noqa: PLR0913  # one for each option
    peer: tuple[str, ...],
    threads: int,
    sizes: str,
    rounds: int,
    seconds: float,
    model: str,
    branch: str | None,
    dtype: str,
    compiled: bool,
    output: Path,
) -> None:
    """Steps of velocity Verlet through each peer's own ASE calculator."""
    try:
        wanted = systems.parse_sizes(",".join(size_of(word) for word in sizes.split(",")))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    chosen = systems.series(wanted, range(1, 90)).systems
    options = {"model": model, "branch": branch, "dtype": dtype}
    report(
        "Molecular dynamics, ms/step",
        start(peer, threads, options, compiled=compiled),
        {system.name: system_request(system) for system in chosen},
        rounds=rounds,
        seconds=seconds,
        output=output,
    )


@main.command()
@click.option("--peer", multiple=True, help="name=path of the Python of its environment.")
@click.option("--threads", default=2, show_default=True, help="Of each process.")
@click.option("--channels", default="64,128", show_default=True, help="Widths of the model.")
@click.option("--rounds", default=5, show_default=True, help="Turns of each process.")
@click.option("--seconds", default=2.0, show_default=True, help="About how long a turn is.")
@click.option("--output", default="compare-train.json", type=click.Path(path_type=Path))
def train(  # noqa: PLR0913  # one for each option
    peer: tuple[str, ...],
    threads: int,
    channels: str,
    rounds: int,
    seconds: float,
    output: Path,
) -> None:
    """Training steps of a PaiNN of 3 layers and 16 radial functions, on 32 clusters of 20 atoms."""
    try:
        widths = [int(word) for word in channels.split(",")]
    except ValueError:
        raise click.BadParameter(f"channels are {channels!r}, expected e.g. 64,128") from None
    report(
        "Training, ms/step",
        start(peer, threads, {}, compiled=False),
        {f"{width} channels": training_request(width) for width in widths},
        rounds=rounds,
        seconds=seconds,
        output=output,
    )


if __name__ == "__main__":
    main()

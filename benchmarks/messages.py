"""hydracalc's sum over neighbors against the same formula left to autograd, in turns.

    python benchmarks/messages.py --channels 64,128 --threads 2

Three tasks: the sum alone; the sum and its gradient, as in a step of dynamics; and the gradient of
that gradient, as in a step of training. The edges are those of the training batch of `compare.py`
(about 7,800) and of a crystal.
"""

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hydracalc.benchmark import clock, machine, systems, training
from hydracalc.graphs.collate import collate
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.messages import Inputs, sum_messages
from hydracalc.structure import from_atoms

CUTOFF = 5.0  # Angstrom
NUM_RADIAL = 16
Sum = Callable[[Inputs], tuple[Tensor, Tensor]]
TASKS = ("sum", "sum and gradient", "and gradient of that")


def plain(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """The formula as one would write it down: every array as large as all edges is kept."""
    gates, radial, mixing, directions, vectors, one, other = inputs
    senders, receivers = torch.cat([one, other]), torch.cat([other, one])
    radial, directions = torch.cat([radial, radial]), torch.cat([directions, -directions])
    channels = gates.shape[1] // 3
    parts = gates[senders] * (radial @ mixing)  # (E, 3C)
    first, second, third = parts.split(channels, dim=1)  # 3 x (E, C)
    moved = second[:, None, :] * directions[:, :, None] + third[:, None, :] * vectors[senders]
    shift = gates.new_zeros(len(gates), channels).index_add(0, receivers, first)
    turn = gates.new_zeros(len(gates), 3, channels).index_add(0, receivers, moved)
    return shift, turn


def make_inputs(graph: AtomicGraph, channels: int) -> Inputs:
    """Random features on the pairs of neighbors of a graph, in float32."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    num_atoms, chosen = graph.num_atoms, graph.pairs()
    return Inputs(
        gates=draw(num_atoms, 3 * channels),
        radial=draw(len(chosen), NUM_RADIAL),
        mixing=draw(NUM_RADIAL, 3 * channels),
        directions=draw(len(chosen), 3),
        vectors=draw(num_atoms, 3, channels),
        senders=graph.senders[chosen],
        receivers=graph.receivers[chosen],
    )


def run(how: Sum, inputs: Inputs, task: str) -> list[Tensor]:
    """Results of a task."""
    if task == "sum":
        with torch.no_grad():
            return list(how(inputs))
    twice = task != "sum and gradient"
    # dynamics has no use for the gradient of weights
    wanted = [each for each in inputs if each.requires_grad and each is not inputs.mixing]
    shift, turn = how(inputs if twice else inputs._replace(mixing=inputs.mixing.detach()))
    energy = shift.square().sum() + turn.square().sum()
    gradients = torch.autograd.grad(energy, wanted, create_graph=twice)
    if not twice:
        return list(gradients)
    loss = torch.stack([each.square().sum() for each in gradients]).sum()
    return list(torch.autograd.grad(loss, [*wanted, inputs.mixing]))


def compare(graph: AtomicGraph, channels: int, rounds: int) -> list[dict[str, float | str]]:
    """One row for each task."""
    inputs = make_inputs(graph, channels)
    effort = clock.Effort(seconds=60, min_rounds=rounds, max_rounds=rounds)
    rows = []
    for task in TASKS:
        ours, theirs = run(sum_messages, inputs, task), run(plain, inputs, task)
        difference = max(
            float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True)
        )
        tasks = {
            "ours": lambda task=task: run(sum_messages, inputs, task),
            "plain": lambda task=task: run(plain, inputs, task),
        }
        times = clock.interleaved(tasks, effort=effort, device=torch.device("cpu"))
        medians = {name: float(np.median(each)) for name, each in times.items()}
        row = {
            "task": task,
            "channels": channels,
            "edges": graph.num_edges,
            "hydracalc_ms": medians["ours"],
            "autograd_ms": medians["plain"],
            "ratio": clock.ratio(times["plain"], times["ours"]),
            "largest_relative_difference": difference,
        }
        rows.append(row)
    return rows


@click.command()
@click.option("--channels", default="64,128", show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=20, show_default=True)
@click.option("--crystal", default=216, show_default=True, help="Atoms of the crystal.")
@click.option("--output", default="messages.json", type=click.Path(path_type=Path))
def main(channels: str, threads: int, rounds: int, crystal: int, output: Path) -> None:
    """Compare hydracalc's sum over neighbors with autograd on the same formula, in turns."""
    atoms = systems.supercell("Si", crystal).atoms
    graphs = {
        "training batch": collate(training.clusters(), CUTOFF),
        f"Si{crystal}": collate([from_atoms(atoms)], CUTOFF),
    }
    with machine.threads(threads):
        here = machine.describe(torch.device("cpu"))
        rows = [
            {"graph": name, **row}
            for name, graph in graphs.items()
            for width in map(int, channels.split(","))
            for row in compare(graph, width, rounds)
        ]
    output.write_text(json.dumps({"threads": here.threads, "rows": rows}, indent=2) + "\n")
    console = Console(width=140)
    console.print(f"{here.processor}, {here.threads} threads, torch {here.torch}, float32")
    console.print(_table(rows), f"written: {output}", sep="\n")


def _table(rows: list[dict[str, float | str]]) -> Table:
    table = Table(title="Sum over neighbors, ms", title_justify="left")
    names = ("graph", "edges", "channels", "task", "hydracalc_ms", "autograd_ms", "ratio")
    for name in (*names, "largest_relative_difference"):
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        numbers = (f"{row[name]:.3g}" for name in ("hydracalc_ms", "autograd_ms", "ratio"))
        texts = (str(row[name]) for name in ("graph", "edges", "channels", "task"))
        table.add_row(*texts, *numbers, f"{row['largest_relative_difference']:.1e}")
    return table


if __name__ == "__main__":
    main()

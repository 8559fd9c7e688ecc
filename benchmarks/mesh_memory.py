"""Memory of a rank's weights, gradients and moments, by layout and number of branches.

    python benchmarks/mesh_memory.py --branches 2,4,8

For each case a process builds the part of the model that a rank holds, takes one real step of the
trainer, and counts the bytes of all tensors that stay: 4 (Ps + n Ph) numbers, where Ps are the
encoder's weights, Ph those of a branch, and n is Nh in layout "base" and 1 in "multitask"
[arXiv:2506.21788, section 4]. EGNN's last layer moves atoms whose places only direct force heads
read; without these heads some weights have neither gradient nor moments, and "of trained" is the
ratio to a formula that knows. The average of the weights that the trainer keeps is a fifth number.
"resident" is by how much the memory of the process has grown: what stays, that fifth with it, and
what the step used in passing where that was not given back.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hydracalc.benchmark.training import clusters
from hydracalc.models.hydra import HydraConfig
from hydracalc.planning.sizes import build_model, measure_size
from hydracalc.training.config import TrainerConfig
from hydracalc.training.loop import Trainer
from hydracalc.training.sampler import BranchShare, TrainingSet

PAPER = HydraConfig(encoder="egnn", num_channels=866, num_layers=4, head_widths=(889,) * 3)
SHAPES = {
    "shipped": HydraConfig(encoder="painn", num_channels=64, head_widths=(64,)),
    "paper": PAPER,
    "paper, force heads": replace(PAPER, direct_forces=True),
}
LAYOUTS = ("base", "multitask")
ITEM = 4  # bytes of a float32
NUM_ATOMS = 4
MB = 1e6


def resident() -> int:
    """Bytes of memory that this process has."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def stored(tensors: Iterable[Tensor]) -> int:
    """Bytes of the memory of tensors; what several share is counted once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values())


def make_trainer(shape: str, num_held: int) -> tuple[Trainer, TrainingSet]:
    """A trainer with the branches that a rank holds, and a small batch for one of them."""
    config = SHAPES[shape]
    model = build_model(config, num_held)
    one = model.branch_names[0]
    structures = [replace(s, branch=one) for s in clusters(1, NUM_ATOMS)]
    data = TrainingSet(structures, branch_names=model.branch_names, cutoff=config.cutoff)
    shares = [BranchShare()] * num_held
    trainer = Trainer(model, data, validation=None, branches=shares, config=TrainerConfig())
    return trainer, data


def measure(shape: str, layout: str, num_branches: int) -> dict[str, object]:
    """One row; in a process that has done nothing before but a step of a tiny model."""
    torch.set_num_threads(1)
    trainer, data = make_trainer("shipped", 1)  # compiled loops and torch's own are there after it
    trainer.step(data.graph(np.arange(1)))
    del trainer, data
    before = resident()
    num_held = num_branches if layout == "base" else 1
    trainer, data = make_trainer(shape, num_held)
    trainer.step(data.graph(np.arange(1)))
    grown = resident() - before
    parameters = list(trainer.model.parameters())
    moments = [m for state in trainer.optimizer.state.values() for m in state.values()]
    gradients = [p.grad for p in parameters if p.grad is not None]
    kept = stored([*parameters, *gradients, *moments])
    formula = 4 * ITEM * measure_size(SHAPES[shape]).parameters(num_held)
    trained = ITEM * sum(p.numel() * (1 if p.grad is None else 4) for p in parameters)
    return {
        "shape": shape,
        "branches": num_branches,
        "layout": layout,
        "formula_MB": formula / MB,
        "counted_MB": kept / MB,
        "of_formula": kept / formula,
        "of_trained": kept / trained,
        "and_average_MB": kept / MB + ITEM * sum(p.numel() for p in parameters) / MB,
        "resident_MB": grown / MB,
    }


@click.command(help=__doc__)
@click.option("--shapes", default=";".join(SHAPES), show_default=True, help="Parted by ;")
@click.option("--branches", default="2,4,8", show_default=True)
@click.option("--child", nargs=3, hidden=True)
@click.option("--json", "as_json", is_flag=True)
def main(shapes: str, branches: str, child: tuple[str, str, str] | None, as_json: bool) -> None:
    """One process for each case, one after another."""
    if child:
        click.echo(json.dumps(measure(child[0], child[1], int(child[2]))))
        return
    rows = []
    for shape in shapes.split(";"):
        for number in branches.split(","):
            for layout in LAYOUTS:
                command = [sys.executable, __file__, "--child", shape, layout, number]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(done.stderr)
                rows.append(json.loads(done.stdout))
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*(f"{v:#,.5g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()

"""Sums of gradients begun during the backward pass, against those begun after it, in turns.

    python benchmarks/exchange.py --ranks 2,4 --shapes shipped,paper

Every rank trains on random clusters, with one thread. Two branches are laid out as "multitask", so
that on four ranks both encoder and branches are summed. A round takes one step each way, and in
each size of buckets that is asked for; the time of a step is that of the slowest rank. Ratios are
medians over rounds of the time by that of the first way in the same round. "waits" is the part of a
step that the ranks spend waiting for sums, on the average.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hydracalc.benchmark import clock
from hydracalc.benchmark.training import clusters
from hydracalc.models.hydra import HydraConfig
from hydracalc.parallel import buckets, launch
from hydracalc.parallel.mesh import BranchMesh, MeshConfig, lay_out
from hydracalc.planning.sizes import build_model
from hydracalc.training.config import TrainerConfig
from hydracalc.training.exchange import Exchange
from hydracalc.training.loop import Surroundings, Trainer
from hydracalc.training.sampler import BranchShare, TrainingSet

# shape; structures of a rank and atoms of each
SHAPES = {
    "shipped": (HydraConfig(encoder="painn", num_channels=64, head_widths=(64,)), (16, 20)),
    "wide": (HydraConfig(encoder="painn", num_channels=512, head_widths=(512,)), (1, 20)),
    "paper": (
        HydraConfig(encoder="egnn", num_channels=866, num_layers=4, head_widths=(889,) * 3),
        (1, 8),
    ),
}
NUM_BRANCHES = 2


def make_trainer(shape: str) -> tuple[Trainer, object]:
    """A trainer among the ranks that were started, and this rank's batch."""
    config, (count, num_atoms) = SHAPES[shape]
    size = torch.distributed.get_world_size()
    groups = lay_out([1.0] * NUM_BRANCHES, size, MeshConfig(layout="multitask"))
    mesh = BranchMesh(groups)
    torch.manual_seed(0)
    model = build_model(config, NUM_BRANCHES).with_branches(mesh.group.branches)
    name = model.branch_names[0]
    structures = [replace(s, branch=name) for s in clusters(count, num_atoms, seed=mesh.rank)]
    data = TrainingSet(structures, branch_names=model.branch_names, cutoff=config.cutoff)
    trainer = Trainer(
        model,
        data,
        validation=None,
        branches=[BranchShare()] * NUM_BRANCHES,
        config=TrainerConfig(),
        surroundings=Surroundings(mesh=mesh),
    )
    return trainer, data.graph(np.arange(count))


def measure(shape: str, bucket_mb: list[float], rounds: int) -> list[dict[str, object]]:
    """Steps in all ways in turns; rows on the root, none elsewhere."""
    torch.set_num_threads(1)
    trainer, graph = make_trainer(shape)
    mesh, weights = trainer.mesh, trainer.exchange.branch_weights
    ways: dict[tuple[str, float], Exchange] = {}
    for size in bucket_mb:
        buckets.BUCKET_BYTES = int(size * 2**20)
        exchange = Exchange(mesh, trainer.model, weights)  # the same buckets both ways
        ways |= {("after", size): exchange, ("during", size): exchange}
    seconds = []
    for number in range(rounds + 2):
        # in another order each time, so that no way always comes after the same one
        order = np.random.default_rng(number).permutation(len(ways))
        row = np.zeros((len(ways), 2))
        for place in order:
            (way, _), exchange = list(ways.items())[place]
            mesh.overlap, trainer.exchange = way == "during", exchange
            mesh.all_gather(None)
            begun, waited = time.perf_counter(), mesh.waited
            trainer.step(graph)
            row[place] = time.perf_counter() - begun, mesh.waited - waited
        seconds.append(row)
    told = np.stack(mesh.all_gather(np.array(seconds[2:])))  # (R, rounds, ways, 2)
    step, waits = told[..., 0].max(axis=0), told[..., 1].mean(axis=0)
    rows = [
        {
            "shape": shape,
            "parameters": sum(p.numel() for p in trainer.model.parameters()),
            "ranks": mesh.size,
            "bucket_MiB": size,
            "sums": way,
            "ms_per_step": 1e3 * float(np.median(step[:, place])),
            "waits_ms": 1e3 * float(np.median(waits[:, place])),
            "ratio": clock.ratio(step[:, place], step[:, 0]),
        }
        for place, (way, size) in enumerate(ways)
    ]
    return rows if mesh.is_root else []


def run_ranks(ranks: int, arguments: list[str]) -> list[dict[str, object]]:
    """Rows of a job of so many ranks."""
    mpiexec = Path(sys.prefix) / "bin" / "mpiexec"
    done = subprocess.run(
        [mpiexec, "-n", str(ranks), sys.executable, __file__, "--child", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


@click.command(help=__doc__)
@click.option("--ranks", default="2,4", show_default=True)
@click.option("--shapes", default="shipped,paper", show_default=True, help=f"Of {list(SHAPES)}.")
@click.option("--bucket-mb", default=str(buckets.BUCKET_BYTES / 2**20), show_default=True)
@click.option("--rounds", default=15, show_default=True)
@click.option("--child", is_flag=True, hidden=True)
@click.option("--json", "as_json", is_flag=True)
def main(  # noqa: PLR0913  # one for each option
    ranks: str, shapes: str, bucket_mb: str, rounds: int, child: bool, as_json: bool
) -> None:
    """Start the ranks, or be one."""
    if child:
        started = launch.start("gloo")
        rows = measure(shapes, [float(size) for size in bucket_mb.split(",")], rounds)
        if rows:
            click.echo(json.dumps(rows))
        launch.stop(started)
        return
    rows = [
        row
        for shape in shapes.split(",")
        for number in map(int, ranks.split(","))
        for row in run_ranks(
            number, ["--shapes", shape, "--bucket-mb", bucket_mb, "--rounds", str(rounds)]
        )
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = Table(*rows[0], box=None)
    for row in rows:
        shown = (f"{v:,.3g}" if isinstance(v, float) else str(v) for v in row.values())
        table.add_row(*shown)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()

"""Scaling of the papers' runs, or of a recipe, by a simulated clock: tables, rows, a figure.

    python benchmarks/scaling_model.py simulate gfm-2025 --calibration c.json --network slingshot \
        --rank-tflops 5 --rows rows.jsonl --plot scaling.png
    torchrun --nproc-per-node 2 benchmarks/scaling_model.py gloo

Rows are those of `hydracalc.planning.split`, one JSON object a line; `scaling.py show` has them
beside those of measured runs.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
import torch.distributed as dist
from scaling_show import draw, show

from hydracalc.benchmark.machine import threads as limited
from hydracalc.planning.calibration import (
    Calibration,
    calibrate,
    load_calibration,
    save_calibration,
)
from hydracalc.planning.clock import ClockConfig, simulate
from hydracalc.planning.layouts import LAYOUTS, Machine, Model
from hydracalc.planning.networks import (
    NETWORKS,
    all_reduce_seconds,
    find_network,
    fit_network,
)
from hydracalc.planning.published import PUBLISHED, published
from hydracalc.planning.report import model_of
from hydracalc.planning.split import StepSplit, to_lines
from hydracalc.planning.workload import Workload, of_recipe
from hydracalc.recipe import load_recipe

SIZES = tuple(4 * 4**k for k in range(13))  # bytes, to 64 MiB
ROUNDS = 9


@click.group()
def main() -> None:
    """Scaling of training, simulated."""


@main.command("simulate")
@click.argument("runs", nargs=-1, required=True)
@click.option("--set", "overrides", multiple=True, help="KEY=VALUE of the recipes.")
@click.option("--ranks", default=2048, help="The most; powers of two from 1 are simulated.")
@click.option("--network", default="gloo")
@click.option("--rank-tflops", type=float, help="Sustained by a rank; else as measured here.")
@click.option("--calibration", type=click.Path(path_type=Path), help="Folder; made where missing.")
@click.option("--threads", default=1)
@click.option("--steps", default=4, help="Simulated of each number of ranks.")
@click.option("--rows", type=click.Path(path_type=Path), help="Where rows are written.")
@click.option("--plot", type=click.Path(path_type=Path))
def simulate_command(  # noqa: PLR0913  # an option each
    runs: tuple[str, ...],
    overrides: tuple[str, ...],
    ranks: int,
    network: str,
    rank_tflops: float | None,
    calibration: Path | None,
    threads: int,
    steps: int,
    rows: Path | None,
    plot: Path | None,
) -> None:
    """Strong and weak scaling of RUNS: recipes, or gfm-2025 and gfm-2026."""
    machine = Machine(
        network=find_network(network),
        flops_per_s=None if rank_tflops is None else 1e12 * rank_tflops,
    )
    counts = [2**k for k in range(ranks.bit_length()) if 2**k <= ranks]
    found: list[StepSplit] = []
    for run in runs:
        model = _model(_workload(run, overrides), machine, calibration, threads)
        for layout in LAYOUTS:
            for scaling in ("weak", "strong"):
                found += simulate(
                    model, layout, counts, scaling=scaling, config=ClockConfig(steps=steps)
                )
    show(found)
    if rows is not None:
        rows.write_text(to_lines(found))
    if plot is not None:
        draw(found, plot)


@main.command("gloo")
def gloo_command() -> None:
    """Alpha and beta of gloo between the processes that torchrun started."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    ranks, medians = dist.get_world_size(), []
    for size in SIZES:
        tensor = torch.ones(size // 4)
        times = []
        for _ in range(ROUNDS):
            tensor.fill_(1.0)
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(tensor)
            times.append(time.perf_counter() - start)
        medians.append(float(np.median(times)))
    if dist.get_rank() == 0:
        seconds = np.array(medians)
        alpha, beta, factor = fit_network(np.array(SIZES, float), seconds, num_ranks=ranks)
        default = np.array([all_reduce_seconds(n, ranks, NETWORKS["gloo"]) for n in SIZES])
        report = {
            "ranks": ranks,
            "alpha_us": 1e6 * alpha,
            "GB_per_s": 1e-9 / beta,
            "largest_factor_of_fit": factor,
            "largest_factor_of_defaults": float(np.exp(np.abs(np.log(default / seconds)).max())),
            "ms": dict(zip(map(str, SIZES), (1e3 * seconds).round(4).tolist(), strict=True)),
        }
        click.echo(json.dumps(report))
    dist.destroy_process_group()


def _workload(run: str, overrides: Sequence[str]) -> Workload:
    return published(run) if run in PUBLISHED else of_recipe(load_recipe(run, overrides))


def _model(workload: Workload, machine: Machine, folder: Path | None, threads: int) -> Model:
    """The model of a run, calibrated here or as a file of the folder says."""
    path = None if folder is None else folder / f"{workload.name.replace(':', '-')}.json"
    return model_of(workload, calibrated(workload, path, threads=threads), machine)


def calibrated(workload: Workload, path: Path | None, *, threads: int) -> Calibration:
    """Costs as a file has them; measured, and the file made, where there is none."""
    if path is not None and path.exists():
        return load_calibration(path)
    with limited(threads):
        measured = calibrate(
            workload.model, precision=workload.precision, num_atoms=workload.max_atoms
        )
    if path is not None:
        save_calibration(path, measured)
    return measured


if __name__ == "__main__":
    main()

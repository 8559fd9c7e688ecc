"""`hydracalc plan`: memory and time of a run on R ranks by layout, and which layout to take."""

import json
from pathlib import Path
from typing import Any

import click

from hydracalc.cli.options import json_option

_MICRO, _GIGA = 1e-6, 1e9


@click.command("plan")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--ranks", type=int, required=True, help="Processes.")
@click.option("--structures", type=float, help="Scale the data to so many, the mix as it is.")
@click.option("--device-memory", type=float, help="GB that a rank's model and batch may take.")
@click.option("--host-memory", type=float, help="GB that a rank's structures may take.")
@click.option("--width", type=int, default=0, help="Ranks that share a copy of the data; 0: all.")
@click.option("--network", default="gloo", help="gloo, slingshot or infiniband.", show_default=True)
@click.option("--alpha", type=float, help="Latency of the network, microseconds.")
@click.option("--bandwidth", type=float, help="Of a rank, GB/s.")
@click.option("--algorithm", default="best", help="Of sums: best, ring or tree.")
@click.option("--overlap", type=float, default=0.0, help="Part of computing that hides sums, 0..1.")
@click.option("--rank-tflops", type=float, help="Sustained by a rank; else as measured here.")
@click.option("--threads", type=int, help="Of torch while it measures.")
@click.option("--calibration", type=click.Path(path_type=Path), help="Use a file, or make it.")
@json_option
def plan_command(
    recipe: str,
    overrides: tuple[str, ...],
    threads: int | None,
    calibration: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401  # the size of the run, and the machine
) -> None:
    """Memory, step time and layout of a run of RECIPE, from a short measured run on this machine.

    RECIPE is that of `hydracalc pretrain`, whose shards are opened, or one of the runs of the
    papers: gfm-2025 (arXiv:2506.21788), gfm-2026 (arXiv:2604.15380).
    """
    from hydracalc.planning import layouts, report

    if options["ranks"] < 1:
        raise ValueError(f"--ranks is {options['ranks']}, expected at least 1")
    machine = _machine(options)
    workload = _workload(recipe, overrides)
    if options["structures"] is not None:
        workload = workload.with_total(round(options["structures"]))
    measured = _calibration(workload, calibration, threads)
    model = report.model_of(workload, measured, machine)
    found = layouts.plan(model, options["ranks"])
    if as_json:
        click.echo(json.dumps(report.to_json(model, found), indent=2))
        return
    _show(model, found)


def _machine(options: dict[str, Any]) -> Any:  # noqa: ANN401  # imported when the command runs
    from hydracalc.planning.layouts import Machine
    from hydracalc.planning.networks import find_network

    if options["bandwidth"] is not None and options["bandwidth"] <= 0:
        raise ValueError(f"bandwidth is {options['bandwidth']} GB/s, expected a positive number")
    network = find_network(
        options["network"],
        alpha=_times(options["alpha"], _MICRO),
        beta=None if options["bandwidth"] is None else 1 / (_GIGA * options["bandwidth"]),
    )
    return Machine(
        network=network,
        algorithm=options["algorithm"],
        flops_per_s=_times(options["rank_tflops"], 1e12),
        overlap=options["overlap"],
        device_memory=_times(options["device_memory"], _GIGA),
        host_memory=_times(options["host_memory"], _GIGA),
        width=options["width"],
    )


def _times(number: float | None, factor: float) -> float | None:
    return None if number is None else number * factor


def _workload(recipe: str, overrides: tuple[str, ...]) -> Any:  # noqa: ANN401
    from hydracalc.planning.published import PUBLISHED, published

    if recipe in PUBLISHED:
        if overrides:
            raise ValueError(f"{recipe!r} is a published run, {overrides[0]!r} cannot be set in it")
        return published(recipe)
    from hydracalc.planning.workload import of_recipe
    from hydracalc.recipe import load_recipe

    return of_recipe(load_recipe(recipe, overrides))


def _calibration(workload: Any, path: Path | None, threads: int | None) -> Any:  # noqa: ANN401
    from hydracalc.benchmark.machine import threads as limited
    from hydracalc.planning.calibration import calibrate, load_calibration, save_calibration

    if path is not None and path.exists():
        return load_calibration(path)
    click.echo("measuring some training steps ...", err=True)
    with limited(threads):
        measured = calibrate(
            workload.model, precision=workload.precision, num_atoms=workload.max_atoms
        )
    if path is not None:
        save_calibration(path, measured)
    return measured


def _show(model: Any, found: Any) -> None:  # noqa: ANN401
    from hydracalc.cli.tables import print_pairs, print_table
    from hydracalc.planning import report

    print_pairs(report.summary(model, found))
    click.echo("")
    columns, rows = report.table(found)
    print_table(columns, rows)
    for layout, reason in found.impossible.items():
        click.echo(f"{layout} is not possible: {reason}")
    click.echo("")
    click.echo(f"take: {found.choice or 'none'} ({found.reason})")
    click.echo("\nassumptions:")
    for line in report.assumptions(model):
        click.echo(f"- {line}")

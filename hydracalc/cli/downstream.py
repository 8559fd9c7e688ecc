"""`hydracalc downstream`: learning curves on published data, fine-tuned against from scratch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hydracalc.cli.options import json_option
from hydracalc.cli.tables import print_table

if TYPE_CHECKING:
    from hydracalc.downstream.task import Task

_FOLDER = click.Path(path_type=Path)
_task_option = click.option(
    "--task", "tasks", multiple=True, help="Name or TOML file; all that come with hydracalc else."
)


@click.group("downstream")
def downstream() -> None:
    """Fine-tuned against trained from scratch, over the number of structures, on many tasks."""


@downstream.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Tasks that come with hydracalc, and where their data are published."""
    found = _tasks(())
    if as_json:
        click.echo(json.dumps([task.to_json() for task in found]))
        return
    print_table(
        ("task", "folder", "license", "shows", "data"),
        [(task.name, task.folder, task.license, task.shows, task.origin) for task in found],
    )


@downstream.command("run")
@click.argument("model")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--data", "-d", multiple=True, required=True, type=_FOLDER, help="Folder of data.")
@click.option("--output", "-o", required=True, type=_FOLDER, help="Folder of the results.")
@click.option("--recipe", type=_FOLDER, help="TOML file of settings.")
@_task_option
def run_command(
    model: str,
    overrides: tuple[str, ...],
    *,
    data: tuple[Path, ...],
    output: Path,
    recipe: Path | None,
    tasks: tuple[str, ...],
) -> None:
    """Train MODEL on every task by every method, size and seed; the same command goes on.

    A task's files are looked for in its folder (`hydracalc downstream list`) below each folder of
    data. Settings: methods, sizes, seeds, threads, and finetune.minutes and so on.
    """
    from hydracalc.downstream.trials import DownstreamConfig, run_tasks
    from hydracalc.recipe import load_settings

    config = load_settings(DownstreamConfig, recipe, overrides)
    skipped: dict[str, int] = {}
    for progress in run_tasks(model, _tasks(tasks), data, output, config):
        if progress.result is None:
            skipped[progress.why] = skipped.get(progress.why, 0) + 1
            if progress.why != "done before":
                click.echo(f"{progress.run}: skipped, {progress.why}")
            continue
        errors = progress.result["errors"]["test"]
        told = ", ".join(f"{key} {value:.4g}" for key, value in errors.items())
        click.echo(f"{progress.run}: {told} ({progress.result['seconds']:.0f} s)")
    for why, count in skipped.items():
        click.echo(f"skipped {count} runs: {why}")


@downstream.command("show")
@click.argument("results", type=_FOLDER)
@click.option("--table", type=_FOLDER, help="Write the table as Markdown here.")
@click.option("--plot", type=_FOLDER, help="Write the picture, PNG, here.")
@_task_option
def show_command(
    results: Path, *, table: Path | None, plot: Path | None, tasks: tuple[str, ...]
) -> None:
    """Table and picture of RESULTS, the folder of `hydracalc downstream run`."""
    from hydracalc.downstream.learning_curves import curves_of, verdicts
    from hydracalc.downstream.learning_curves import table as as_table
    from hydracalc.downstream.trials import METHODS, read_results

    lines = read_results(results)
    curves = [c for task in _tasks(tasks) if (c := curves_of(task, lines)) is not None]
    if not curves:
        raise ValueError(f"{results}: no results of these tasks with all their variants")
    text = "\n".join([as_table(curves, METHODS), "", *verdicts(curves)])
    click.echo(text)
    if table is not None:
        table.write_text(text + "\n")
    if plot is not None:
        from hydracalc.downstream.learning_curves_plot import picture

        plot.write_bytes(picture(curves))


def _tasks(given: tuple[str, ...]) -> "list[Task]":
    from hydracalc.downstream.task import load_task, shipped_tasks

    return [load_task(name) for name in given or shipped_tasks()]

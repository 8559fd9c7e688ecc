"""Scaling of a real training over processes of this machine, and of a simulated clock beyond.

    python benchmarks/scaling.py measure SHARDS... --rows measured.jsonl
    python benchmarks/scaling.py predict SHARDS... --measured measured.jsonl --rows modelled.jsonl
    python benchmarks/scaling.py show measured.jsonl modelled.jsonl --plot scaling.png

SHARDS are folders made by `hydracalc data prepare`, a branch each. Every rank has one thread.
Numbers of ranks take turns (1, 2, 4, 1, 2, 4, ...), so that all see the same machine; of the
repeats the run of median speed counts, or the fastest (`--pick`). "weak" gives each rank the
recipe's part of a batch, "strong" shares the batch of the most ranks, so that on the most ranks
both are one measurement.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from scaling_model import calibrated
from scaling_show import draw, show, tell

from hydracalc.benchmark.machine import describe
from hydracalc.parallel.mesh import MeshConfig
from hydracalc.planning.clock import ClockConfig, simulate
from hydracalc.planning.layouts import LAYOUTS, Layout, Machine, Model, num_hybrid_groups
from hydracalc.planning.networks import find_network
from hydracalc.planning.report import assumptions, model_of
from hydracalc.planning.split import (
    Pick,
    Scaling,
    StepSplit,
    chosen_runs,
    from_lines,
    to_lines,
)
from hydracalc.planning.workload import of_recipe
from hydracalc.recipe import BranchRecipe, Recipe, load_recipe, to_toml
from hydracalc.shards.reader import open_shards

RANK = Path(__file__).with_name("scaling_rank.py")
SCALINGS: tuple[Scaling, ...] = ("weak", "strong")
SECONDS_OF_A_JOB = 1200

folders_argument = click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)
recipe_option = click.option(
    "--recipe", default="mtl-all", show_default=True, help="All but its branches is taken."
)
set_option = click.option("--set", "overrides", multiple=True, help="KEY=VALUE of the recipe.")

pick_option = click.option(
    "--pick",
    type=click.Choice(["median", "fastest"]),
    default="median",
    show_default=True,
    help="Run of repeated ones; the fastest where others use the machine too.",
)
markdown_option = click.option(
    "--markdown", "as_markdown", is_flag=True, help="Tables as in documents."
)


@click.group(help=__doc__)
def main() -> None:
    """Scaling."""


@main.command("measure")
@folders_argument
@recipe_option
@set_option
@click.option("--ranks", default="1,2,4", show_default=True, help="Numbers of processes.")
@click.option("--layout", "layouts", multiple=True, type=click.Choice(LAYOUTS), default=LAYOUTS)
@click.option("--launcher", type=click.Choice(["mpiexec", "torchrun"]), default="mpiexec")
@click.option("--steps", default=20, show_default=True, help="That are measured in each run.")
@click.option("--warm-up", default=5, show_default=True, help="Steps before them.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--rows", type=click.Path(path_type=Path), required=True, help="File; added to.")
def measure_command(  # noqa: PLR0913  # an option each
    folders: tuple[Path, ...],
    recipe: str,
    overrides: tuple[str, ...],
    ranks: str,
    layouts: tuple[Layout, ...],
    launcher: str,
    steps: int,
    warm_up: int,
    repeats: int,
    rows: Path,
) -> None:
    """Train on 1, 2, 4 processes in turns; add a row of each run to a file."""
    wanted = recipe_of(folders, recipe, overrides)
    counts = sorted({int(each) for each in ranks.split(",")})
    cores = describe(torch.device("cpu")).cores
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        cases = {count: cases_of(wanted, count, counts[-1], layouts, work) for count in counts}
        for repeat in range(repeats):
            for count in counts:
                folder = work / f"job-{repeat}-{count}"
                folder.mkdir()
                command = [*launched(launcher, count), sys.executable, str(RANK)]
                command += [str(folder / "rows"), *cases[count]]
                run([*command, "--steps", str(steps), "--warm-up", str(warm_up)])
                found = from_lines((folder / "rows").read_text())
                if count == counts[-1]:
                    found += [replace(row, scaling="strong") for row in found]
                with rows.open("a") as file:
                    file.write(to_lines(replace(row, cores=cores) for row in found))
                times = ", ".join(
                    f"{row.layout} {row.scaling} {1e3 * row.step_s:.0f} ms" for row in found
                )
                click.echo(f"repeat {repeat + 1}, {count} ranks: {times}", err=True)
    show(from_lines(rows.read_text()))


def recipe_of(folders: Sequence[Path], name: str, overrides: Sequence[str]) -> Recipe:
    """A recipe with the folders as its branches, one thread a rank."""
    base = load_recipe(name, overrides)
    shares = {branch.name: branch for branch in base.branches}
    branches = []
    for folder in folders:
        with open_shards(folder) as shards:
            branch = shares.get(shards.branch, BranchRecipe(name=shards.branch, shards=""))
        branches.append(replace(branch, shards=str(folder.resolve())))
    # an epoch has to hold all steps that are measured, and is all that is trained
    short = replace(base.trainer.training, epochs=1)
    trainer = replace(base.trainer, training=short)
    return replace(base, branches=tuple(branches), threads=1, trainer=trainer)


def cases_of(
    recipe: Recipe, count: int, most: int, layouts: Sequence[Layout], folder: Path
) -> list[str]:
    """What a job of `count` ranks measures: scaling=recipe file, in the words of the rank."""
    cases = []
    for layout in layouts:
        mesh = mesh_of(layout, len(recipe.branches), count)
        if mesh is None:
            continue
        # on the most ranks both scalings are the same run
        for scaling in SCALINGS[: 1 if count == most else 2]:
            factor = most / count if scaling == "strong" else 1
            path = folder / f"{layout}-{scaling}-{count}.toml"
            path.write_text(to_toml(replace(with_budget(recipe, factor), mesh=mesh)))
            cases.append(f"{scaling}={path}")
    return cases


def with_budget(recipe: Recipe, factor: float) -> Recipe:
    """The recipe with so many times as much in a rank's part of a batch."""
    sampler = recipe.trainer.sampler
    larger = replace(
        sampler,
        max_atoms=round(factor * sampler.max_atoms),
        max_edges=round(factor * sampler.max_edges),
    )
    return replace(recipe, trainer=replace(recipe.trainer, sampler=larger))


def mesh_of(layout: Layout, num_branches: int, count: int) -> MeshConfig | None:
    """A layout on so many ranks; None where it cannot be or is another one."""
    if layout == "base":
        return MeshConfig()
    if layout == "multitask":
        return MeshConfig(layout=layout) if 1 < num_branches <= count else None
    groups = num_hybrid_groups(num_branches, count)
    return MeshConfig(layout=layout, num_groups=groups) if 1 < groups < num_branches else None


def launched(launcher: str, count: int) -> list[str]:
    """Words of a launcher that start so many processes on this machine."""
    path = str(Path(sys.prefix) / "bin" / launcher)
    if launcher == "mpiexec":
        return [path, "-n", str(count)]
    return [path, "--standalone", "--nproc-per-node", str(count), "--no-python"]


def run(command: Sequence[str]) -> None:
    """Do it, or say why it could not be done.

    Raises:
        ClickException: the job failed.
    """
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_OF_A_JOB,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        raise click.ClickException(done.stderr.strip() or f"exit code {done.returncode}")


@main.command("predict")
@folders_argument
@recipe_option
@set_option
@click.option(
    "--measured", type=click.Path(path_type=Path, exists=True), required=True, help="Rows."
)
@click.option("--network", default="gloo", show_default=True)
@click.option("--most", default=2048, show_default=True, help="Ranks that are simulated.")
@click.option("--calibration", type=click.Path(path_type=Path), help="File; made where missing.")
@click.option("--rows", type=click.Path(path_type=Path), required=True, help="File; replaced.")
@pick_option
@markdown_option
def predict_command(  # noqa: PLR0913  # an option each
    folders: tuple[Path, ...],
    recipe: str,
    overrides: tuple[str, ...],
    measured: Path,
    network: str,
    most: int,
    calibration: Path | None,
    rows: Path,
    pick: Pick,
    as_markdown: bool,
) -> None:
    """What `hydracalc plan` says of the measured runs, and a clock of many ranks."""
    workload = of_recipe(recipe_of(folders, recipe, overrides))
    costs = calibrated(workload, calibration, threads=1)
    model = model_of(workload, costs, Machine(network=find_network(network)))
    found = from_lines(measured.read_text())
    ran = [row for row in chosen_runs(found, pick) if row.source == "measured"]
    told = [as_planned(model, row, max(r.ranks for r in ran)) for row in ran]
    compare(ran, told, as_markdown=as_markdown)
    first = min(ran, key=lambda row: (row.ranks, row.structures))
    ratio = first.step_s / of_batch(model, first, first.structures).step_s
    words = f"as a measured step says (ranks: {first.ranks})"
    clock = replace(model, calibration=costs.scaled(ratio, words))
    counts = [2**k for k in range(most.bit_length()) if 2**k <= most]
    for layout in LAYOUTS:
        for scaling in SCALINGS:
            told += simulate(clock, layout, counts, scaling=scaling, config=ClockConfig(steps=4))
    show([row for row in told if row.source == "simulated"], as_markdown=as_markdown)
    click.echo("the clock assumes:")
    for line in assumptions(clock):
        click.echo(f"- {line}")
    rows.write_text(to_lines(told))


def as_planned(model: Model, row: StepSplit, most: int) -> StepSplit:
    """What `hydracalc plan` says of a measured run's ranks, layout and batch."""
    parts = most if row.scaling == "strong" else row.ranks
    return of_batch(model, row, parts * model.workload.structures_per_rank())


def of_batch(model: Model, row: StepSplit, structures: float) -> StepSplit:
    """The plan for the ranks and layout of a measured run, and a batch of so many structures."""
    layout: Layout = row.layout  # type: ignore[assignment]
    groups = model.groups(layout, row.ranks)
    return model.split(layout, groups, structures, scaling=row.scaling)


def in_turns(row: StepSplit, cores: int) -> float:
    """Seconds of a planned step whose ranks take turns on so few cores."""
    alone = row.compute_s + row.idle_s
    return max(alone, row.compute_s * row.ranks / cores) + row.collective_s + row.data_s


def compare(ran: Sequence[StepSplit], told: Sequence[StepSplit], *, as_markdown: bool) -> None:
    """Table of measured against planned steps."""
    columns = ["scaling", "layout", "ranks", "cores", "structures", "planned", "measured ms"]
    columns += ["planned ms", "ratio", "planned in turns", "ratio in turns"]
    lines = []
    for one, other in zip(ran, told, strict=True):
        turns = in_turns(other, one.cores or one.ranks)
        lines.append(
            [
                *(one.scaling, one.layout, str(one.ranks), str(one.cores)),
                *(f"{one.structures:.1f}", f"{other.structures:.1f}"),
                *(f"{1e3 * one.step_s:.1f}", f"{1e3 * other.step_s:.1f}"),
                f"{one.step_s / other.step_s:.2f}",
                *(f"{1e3 * turns:.1f}", f"{one.step_s / turns:.2f}"),
            ]
        )
    tell("measured against planned", columns, lines, as_markdown=as_markdown)


@main.command("show")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--plot", type=click.Path(path_type=Path))
@pick_option
@markdown_option
def show_command(
    files: tuple[Path, ...], plot: Path | None, *, pick: Pick, as_markdown: bool
) -> None:
    """Rows of FILES, measured, planned or simulated, as tables and a figure."""
    rows = from_lines("".join(file.read_text() for file in files))
    show(rows, pick=pick, as_markdown=as_markdown)
    if plot is not None:
        draw(chosen_runs(rows, pick), plot)


if __name__ == "__main__":
    main()

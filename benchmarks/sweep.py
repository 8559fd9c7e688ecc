"""How errors and speed of a recipe's model go with its size and with its data, trained alike.

    python benchmarks/sweep.py run mtl-all --data shards --minutes 3 -o runs/sweep
    python benchmarks/sweep.py thin shards shards_fourth --every 4
    python benchmarks/sweep.py run mtl-all --data shards_fourth --sizes 64x3 -o runs/sweep
    python benchmarks/sweep.py add runs/sweep mtl-all --data shards --cores 2
    python benchmarks/sweep.py show runs/sweep --plot docs/sizes.png --bar mptrj=0.075

A size is CHANNELSxLAYERS. Every model is trained for the same time by one thread, `--at-once` of
them beside each other, so the larger ones see less of the data: that is what a size costs. Errors
are those on each branch's own test split. What is in the folder already is not trained again.
`thin` leaves every fourth training structure of all shards, and those for validation and tests;
what was united is one part then.
`add` takes in a model that was trained longer, by `--cores` ranks of a thread; `--bar` tells when a
power law through the shortest and the longest training of one size and data comes to an error.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from hydracalc import HydraCalculator, registry
from hydracalc.benchmark.clock import Effort
from hydracalc.benchmark.steps import time_steps
from hydracalc.benchmark.systems import supercell
from hydracalc.checkpoint import read_header
from hydracalc.shards.reader import open_shards
from hydracalc.shards.table import SPLITS
from hydracalc.shards.writer import ShardWriter
from hydracalc.training.metrics import MAE_KEYS
from hydracalc.validation.pictures import INK, PNG_DPI, new_figure, tidy

ROWS = "rows.jsonl"
FORCES = f"test_{MAE_KEYS['forces']}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model.

    Attributes:
        size: channels and layers.
        data: folder of the shards.
        structures: that it was trained on.
        parameters: of the model.
        steps: of training.
        minutes: of one core, of training.
        forces: mean absolute error by branch, eV/Angstrom.
        ms: of a step of dynamics of 64 atoms of silicon with one thread, all branches that weigh.
    """

    size: str
    data: str
    structures: int
    parameters: int
    steps: int
    minutes: float
    forces: dict[str, float]
    ms: float


def train(recipe: str, size: str, data: Path, minutes: float, folder: Path) -> Path:
    """Train one model in a process of its own; where it is there, nothing is done."""
    channels, layers = size.split("x")
    model = folder / "model.safetensors"
    if not model.is_file():
        words = [
            f"data_dir={data.resolve()}",
            f"model.num_channels={channels}",
            f"model.num_layers={layers}",
            f"model.head_widths=[{channels}]",
            f"trainer.training.max_minutes={minutes:g}",
            "threads=1",
        ]
        command = [sys.executable, "-m", "hydracalc", "pretrain", recipe, *words, "-o", str(folder)]
        quiet = subprocess.DEVNULL
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=quiet)
    return model


def stages(header: dict[str, Any]) -> list[dict[str, Any]]:
    """How a model was trained: the last stage, and those before it."""
    found = [header["provenance"]]
    while "started_from" in found[-1]:
        found.append(found[-1]["started_from"])
    return found


def row(data: str, model: str | Path, cores: int = 1) -> Row:
    """What a model came to."""
    header = read_header(registry.resolve(model))
    calculator = HydraCalculator(model, branch="mptrj")
    config = calculator._loaded.model.config
    torch.set_num_threads(1)
    taken = time_steps(supercell("Si", 64), calculator, effort=Effort(), device=torch.device("cpu"))
    return Row(
        size=f"{config.num_channels}x{config.num_layers}",
        data=data,
        structures=sum(branch["num_structures"] for branch in header["branches"]),
        parameters=sum(p.numel() for p in calculator._loaded.model.parameters()),
        steps=sum(stage["steps"] for stage in stages(header)),
        minutes=sum(stage["training_minutes"] for stage in stages(header)) * cores,
        forces={b["name"]: b["metrics"][FORCES] for b in header["branches"] if b["metrics"]},
        ms=taken.timing.median_ms,
    )


@click.group(help=__doc__)
def main() -> None:
    """Command line."""


@main.command("run")
@click.argument("recipe")
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--sizes", default="32x2,64x3,96x3,128x3", show_default=True)
@click.option("--minutes", default=3.0, show_default=True)
@click.option("--at-once", default=2, show_default=True)
@click.option("--output", "-o", default="runs/sweep", type=click.Path(path_type=Path))
def run_command(
    recipe: str, data: Path, *, sizes: str, minutes: float, at_once: int, output: Path
) -> None:
    """Train models of all sizes."""
    output.mkdir(parents=True, exist_ok=True)
    names = sizes.split(",")
    folders = [output / f"{size}-{data.name}-{minutes:g}" for size in names]
    with ThreadPoolExecutor(at_once) as pool:
        models = list(
            pool.map(
                lambda pair: train(recipe, pair[0], data, minutes, pair[1]),
                zip(names, folders, strict=True),
            )
        )
    for model in models:
        keep(output, row(data.name, model))


@main.command("add")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.argument("model")
@click.option("--data", required=True, help="Name of its shards' folder.")
@click.option("--cores", default=1, show_default=True)
def add_command(folder: Path, model: str, *, data: str, cores: int) -> None:
    """Take in a model that was trained elsewhere."""
    keep(folder, row(data, model, cores))


def keep(folder: Path, found: Row) -> None:
    """Note a row, and print it."""
    with (folder / ROWS).open("a") as file:
        file.write(json.dumps(asdict(found)) + "\n")
    click.echo(found)


@main.command("thin")
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--every", default=4, show_default=True)
def thin_command(data: Path, out: Path, *, every: int) -> None:
    """Write the shards of a folder with fewer training structures."""
    for folder in sorted(path.parent for path in data.glob("*/manifest.json")):
        with open_shards(folder) as shards:
            training = np.flatnonzero(shards.splits == 0)
            kept = np.sort(np.concatenate([training[::every], np.flatnonzero(shards.splits > 0)]))
            settings = {"thinned": shards.manifest.sha256, "every": every}
            with ShardWriter(
                out / folder.name, card=shards.card, settings=settings, references=shards.references
            ) as writer:
                for structure, split in zip(shards.read(kept), shards.splits[kept], strict=True):
                    writer.add(structure, split=SPLITS[split])
        click.echo(f"{folder.name}: {dict(writer.num_structures)}")


def read_rows(folder: Path) -> list[Row]:
    """Rows of a sweep; of two of one size, data and time the later one."""
    lines = (json.loads(line) for line in (folder / ROWS).read_text().splitlines())
    rows = {(line["size"], line["data"], line["minutes"]): Row(**line) for line in lines}
    return sorted(rows.values(), key=lambda row: (row.minutes, row.structures, row.parameters))


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of a Markdown table."""
    branches = list(dict.fromkeys(name for row in rows for name in row.forces))
    heads = ["size", "weights", "structures", "minutes", "steps", "ms/step, Si64", *branches]
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for each in rows:
        errors = (f"{1e3 * each.forces[name]:.0f}" for name in branches)
        cells = [each.size, f"{each.parameters:,}", f"{each.structures:,}", f"{each.minutes:.0f}"]
        yield "| " + " | ".join([*cells, f"{each.steps:,}", f"{each.ms:.1f}", *errors]) + " |"


def minutes_to(rows: Sequence[Row], branch: str, error: float) -> Iterator[str]:
    """For each size and data with two times of training, what a power law needs for an error."""
    for size, data in dict.fromkeys((row.size, row.data) for row in rows):
        same = [row for row in rows if (row.size, row.data) == (size, data)]
        short, long = same[0], same[-1]
        if short.minutes == long.minutes:
            continue
        ratio = math.log(long.minutes / short.minutes)
        power = math.log(short.forces[branch] / long.forces[branch]) / ratio
        needed = long.minutes * (long.forces[branch] / error) ** (1 / power)
        yield (
            f"{size} on {data}: force MAE of {branch} goes as minutes^-{power:.2f}, to {error:g} "
            f"eV/A in {needed / 60:,.0f} core-hours"
        )


def draw(rows: Sequence[Row], path: Path) -> None:
    """Errors over the time of a step, a line for each branch; sizes on the axis above."""
    most, least = max(row.structures for row in rows), min(row.minutes for row in rows)
    shown = [row for row in rows if row.structures == most and row.minutes < 1.5 * least]
    shown.sort(key=lambda row: row.ms)
    figure = new_figure(7.5, 4.0)
    axes = figure.subplots()
    for name in shown[0].forces:
        errors = [1e3 * row.forces[name] for row in shown]
        axes.plot([row.ms for row in shown], errors, marker="o", label=name)
    axes.set_xscale("log")
    axes.set_xticks([row.ms for row in shown], [f"{row.ms:.1f}" for row in shown])
    axes.minorticks_off()
    axes.set_yscale("log")
    axes.set_xlabel("ms a step of dynamics, 64 atoms of silicon, one thread", color=INK)
    axes.set_ylabel("force MAE on test labels, meV/Å", color=INK)
    tidy(axes, title=f"{shown[0].minutes:g} minutes of training, one core", grid="both")
    above = axes.secondary_xaxis("top")
    above.set_xticks([row.ms for row in shown], [row.size for row in shown])
    above.minorticks_off()
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=PNG_DPI)


@main.command("show")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--plot", type=click.Path(path_type=Path))
@click.option("--bar", multiple=True, help="BRANCH=ERROR, eV/A.")
def show_command(folder: Path, *, plot: Path | None, bar: tuple[str, ...]) -> None:
    """Print the table, draw the picture."""
    rows = read_rows(folder)
    click.echo("\n".join(table(rows)))
    for branch, _, error in (each.partition("=") for each in bar):
        click.echo("\n".join(minutes_to(rows, branch, float(error))))
    if plot:
        draw(rows, plot)


if __name__ == "__main__":
    main()

"""`hydracalc data`: from published files to shards, and what shards hold."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.options import json_option

if TYPE_CHECKING:
    from hydracalc.ingest.prepare import PrepareConfig, PrepareReport

# seconds between lines where there is no terminal
_LOG_EVERY = 10.0
_UNWRAPPED = 10_000

shards_argument = click.argument("out", type=click.Path(path_type=Path))


@click.group()
def data() -> None:
    """Turn published datasets into shards; look into shards."""


@data.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Datasets that hydracalc can read."""
    from hydracalc.ingest.catalog import list_datasets, load_card

    cards = {name: load_card(name) for name in list_datasets()}
    if as_json:
        rows = [{"id": name, **card.model_dump(mode="json")} for name, card in cards.items()]
        click.echo(json.dumps(rows, indent=2))
        return
    _print_table(
        ("id", "title", "level of theory", "elements", "licence"),
        [(n, c.title, c.theory, _elements(c.elements), c.license) for n, c in cards.items()],
    )


@data.command("prepare")
@click.argument("dataset", metavar="ID")
@click.argument("raw", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--limit", type=int, help="Read only the first structures.")
@click.option("--seed", type=int, help="Of the split into train, val and test.")
@click.option("--val", type=float, help="Fraction of the groups for choosing a model.")
@click.option("--test", type=float, help="Fraction of the groups for its errors.")
@click.option("--max-force", type=float, help="Leave out larger forces, eV/Angstrom; inf: none.")
@json_option
def prepare_command(
    dataset: str, raw: Path, out: Path, as_json: bool, **choices: float | None
) -> None:
    """Read the published files in RAW, screen and split them, write shards."""
    from hydracalc.ingest.catalog import load_adapter
    from hydracalc.ingest.prepare import prepare

    config = _config(choices)
    with _progress("structures read") as progress:
        report = prepare(load_adapter(dataset), raw, out, config=config, progress=progress)
    if as_json:
        click.echo(json.dumps(_report_to_json(report), indent=2))
        return
    _print_report(report)


@data.command("info")
@shards_argument
@json_option
def info_command(out: Path, as_json: bool) -> None:
    """What a folder of shards says of itself; nothing but its manifest is read."""
    from hydracalc.shards.manifest import read_manifest

    manifest = read_manifest(out)
    if as_json:
        content = {**manifest.model_dump(mode="json"), "sha256": manifest.sha256}
        click.echo(json.dumps(content, indent=2))
        return
    card = manifest.card
    _print_pairs(
        {
            "branch": f"{card.branch}: {card.title}",
            "theory": card.theory,
            "licence": card.license,
            "published at": card.doi or "no DOI",
            "structures": _counts(manifest.num_structures),
            "atoms": manifest.num_atoms,
            "left out": _counts(manifest.dropped) or "none",
            "references, eV": _energies(manifest.references_eV),
            "references from": manifest.references_from,
            "size": f"{sum(f.size for s in manifest.shards for f in s.files) / 1e6:.1f} MB "
            f"in {len(manifest.shards)} shards",
            "written by": f"hydracalc {manifest.hydracalc_version}",
            "sha256": manifest.sha256,
        }
    )


@data.command("validate")
@shards_argument
@json_option
def validate_command(out: Path, as_json: bool) -> int:
    """Hash every file, read every structure, check what shards promise; exit 1 if one fails."""
    from hydracalc.errors import DataError
    from hydracalc.ingest.validate import validate

    try:
        problems = validate(out)
    except DataError as error:
        problems = [str(error)]
    if as_json:
        click.echo(json.dumps({"path": str(out), "ok": not problems, "problems": problems}))
    else:
        for problem in problems:
            click.echo(f"error: {problem}", err=True)
        click.echo(f"{out}: {len(problems)} problems" if problems else f"{out}: ok")
    return 1 if problems else 0


@data.command("stats")
@shards_argument
@json_option
def stats_command(out: Path, as_json: bool) -> None:
    """Elements, sizes, energies, forces and references of a folder of shards."""
    from hydracalc.ingest.stats import collect_stats
    from hydracalc.shards.reader import open_shards

    with open_shards(out) as shards:
        stats = collect_stats(shards)
    if as_json:
        click.echo(json.dumps(stats, indent=2))
        return
    _print_pairs(
        {
            "branch": stats["branch"],
            "structures": _counts(stats["num_structures"]),
            "charges": _counts(stats["charges"]),
            "spin multiplicities": _counts(stats["spin_multiplicities"]),
        }
    )
    columns = ("count", "mean", "std", "min", "p01", "median", "p99", "max")
    quantities = {
        "atoms": "num_atoms",
        "normalized energy, eV/atom": "normalized_energy_eV_per_atom",
        "largest force, eV/A": "largest_force_eV_per_A",
        "largest stress, eV/A^3": "largest_stress_eV_per_A3",
    }
    _print_table(
        ("", *columns),
        [
            (name, *(f"{stats[key][column]:.5g}" for column in columns))
            for name, key in quantities.items()
            if stats[key] is not None
        ],
    )
    _print_table(
        ("element", "atoms", "structures", "reference, eV"),
        [
            (symbol, n["atoms"], n["structures"], f"{stats['references_eV'][symbol]:.4f}")
            for symbol, n in stats["elements"].items()
        ],
    )


def _config(choices: dict[str, Any]) -> "PrepareConfig":
    """What the options say; the rest as the configurations have it."""
    from hydracalc.ingest.prepare import PrepareConfig
    from hydracalc.ingest.screening import ScreenConfig
    from hydracalc.ingest.splitting import SplitConfig

    given = {name: value for name, value in choices.items() if value is not None}
    if given.get("max_force") == float("inf"):
        given["max_force"] = None
    return PrepareConfig(
        screen=ScreenConfig(**{k: v for k, v in given.items() if k == "max_force"}),
        split=SplitConfig(**{k: v for k, v in given.items() if k in {"val", "test", "seed"}}),
        **{k: v for k, v in given.items() if k == "limit"},
    )


def _report_to_json(report: "PrepareReport") -> dict[str, Any]:
    return {
        "branch": report.branch,
        "path": str(report.path),
        "num_structures": report.num_structures,
        "dropped": report.dropped,
        "references_eV": report.references.to_json(),
        "sha256": report.sha256,
    }


def _print_report(report: "PrepareReport") -> None:
    _print_pairs(
        {
            "branch": report.branch,
            "written to": report.path,
            "structures": _counts(report.num_structures),
            "left out": _counts(report.dropped) or "none",
            "references, eV": _energies(report.references.to_json()),
            "sha256": report.sha256,
        }
    )


def _counts(counts: dict[Any, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _energies(energies: dict[str, float]) -> str:
    return ", ".join(f"{symbol} {energy:.4f}" for symbol, energy in energies.items())


def _elements(symbols: tuple[str, ...]) -> str:
    return " ".join(symbols) if len(symbols) <= 12 else f"{len(symbols)} elements"


def _print_pairs(pairs: dict[str, Any]) -> None:
    width = max(len(name) for name in pairs) + 2
    for name, value in pairs.items():
        click.echo(f"{name:{width}s}{value}")


def _print_table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """A table as wide as the terminal, or as its content where there is none."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(value) for value in row))
    # of a width nothing exceeds, so that lines of a log or a pipe are not wrapped
    width = None if sys.stdout.isatty() else _UNWRAPPED
    Console(width=width, highlight=False, markup=False).print(table)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """Shows a growing number on stderr: in place on a terminal, a line now and then in a log."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _log_line(what)
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} " + what), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def show(count: int) -> None:
            bar.update(task, completed=count)

        yield show


def _log_line(what: str) -> Callable[[int], None]:
    due = time.monotonic() + _LOG_EVERY

    def show(count: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LOG_EVERY
            click.echo(f"{count:,} {what}", err=True)

    return show

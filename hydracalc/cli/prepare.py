"""`hydracalc data prepare`: from published files to shards."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.messages import root_speaks
from hydracalc.cli.options import json_option
from hydracalc.cli.tables import counts, energies, print_pairs, progress_of

if TYPE_CHECKING:
    from hydracalc.ingest.adapter import Adapter
    from hydracalc.ingest.prepare import PrepareConfig, PrepareReport

SPLIT_OPTIONS = ("val", "test", "seed", "join_near")


@click.command("prepare")
@click.argument("dataset", metavar="ID")
@click.argument("raw", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--ranks", type=int, help="Processes on this machine; under mpiexec, all its ranks.")
@click.option("--download", is_flag=True, help="First fetch the published files into RAW.")
@click.option("--limit", type=int, help="Read only the first structures.")
@click.option("--seed", type=int, help="Of the split into train, val and test.")
@click.option("--val", type=float, help="Fraction of the groups for choosing a model.")
@click.option("--test", type=float, help="Fraction of the groups for its errors.")
@click.option(
    "--join-near",
    type=float,
    help="Groups with structures as near as random displacements of so many Angstrom go together.",
)
@click.option("--max-force", type=float, help="Leave out larger forces, eV/Angstrom; inf: none.")
@json_option
def prepare_command(
    dataset: str,
    raw: Path,
    out: Path,
    *,
    ranks: int | None,
    download: bool,
    as_json: bool,
    **choices: float | None,
) -> None:
    """Read the published files in RAW, screen and split them, write shards.

    ID is a dataset of `hydracalc data list`, or a folder with a card.toml of your own. A
    preparation that was killed is continued by the same command.
    """
    from hydracalc.ingest.catalog import load_adapter
    from hydracalc.ingest.prepare import prepare
    from hydracalc.parallel.workers import find_workers

    config, workers, adapter = _config(choices), find_workers(ranks), load_adapter(dataset)
    with root_speaks(workers):
        if download:
            workers.on_root(lambda: _download(adapter, raw))
        if not workers.is_root:
            prepare(adapter, raw, out, config=config, workers=workers)
            return
        with progress_of("structures read") as progress:
            report = prepare(adapter, raw, out, config=config, workers=workers, progress=progress)
    if as_json:
        click.echo(json.dumps(_report_to_json(report), indent=2))
        return
    _print_report(report)


def _download(adapter: "Adapter", raw: Path) -> None:
    from hydracalc.ingest.download import download

    with progress_of("bytes fetched") as progress:
        done = download(adapter.card, raw, progress=progress)
    for name, what in done.items():
        click.echo(f"{name}: {what}", err=True)


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
        split=SplitConfig(**{k: v for k, v in given.items() if k in SPLIT_OPTIONS}),
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
    print_pairs(
        {
            "branch": report.branch,
            "written to": report.path,
            "structures": counts(report.num_structures),
            "left out": counts(report.dropped) or "none",
            "references, eV": energies(report.references.to_json()),
            "sha256": report.sha256,
        }
    )

"""`hydracalc data`: from published files to shards, and what shards hold."""

import json
from pathlib import Path

import click

from hydracalc.cli.align import align_command
from hydracalc.cli.check import check_command
from hydracalc.cli.label import label_command
from hydracalc.cli.leakage import leakage_command
from hydracalc.cli.options import json_option
from hydracalc.cli.prepare import prepare_command
from hydracalc.cli.stats import stats_command
from hydracalc.cli.tables import counts, energies, print_pairs, print_table, some_elements
from hydracalc.cli.union import unite_command

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
    print_table(
        ("id", "title", "level of theory", "elements", "licence"),
        [(n, c.title, c.theory, some_elements(c.elements), c.license) for n, c in cards.items()],
    )


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
    print_pairs(
        {
            "branch": f"{card.branch}: {card.title}",
            "theory": card.theory,
            "licence": card.license,
            "published at": card.doi or "no DOI",
            "structures": counts(manifest.num_structures),
            "atoms": manifest.num_atoms,
            "left out": counts(manifest.dropped) or "none",
            "references, eV": energies(manifest.references_eV),
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


data.add_command(align_command)
data.add_command(unite_command)
data.add_command(check_command)
data.add_command(label_command)
data.add_command(leakage_command)
data.add_command(prepare_command)
data.add_command(stats_command)

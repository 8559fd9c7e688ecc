"""`hydracalc models`: which models there are, and what one says of itself."""

import json
from pathlib import Path

import click

from hydracalc.cli.options import json_option


@click.group()
def models() -> None:
    """Models that are installed, and what a model file says of itself."""


@models.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Names of the models that are installed."""
    from hydracalc.registry import list_models

    found = list_models()
    if as_json:
        rows = [
            {"name": m.name, "aliases": m.aliases, "path": str(m.path), "sha256": m.sha256}
            for m in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    if not found:
        click.echo("no models are installed; a model file is given by its path")
    for model in found:
        names = f" ({', '.join(model.aliases)})" if model.aliases else ""
        click.echo(f"{model.name}{names}  {model.sha256[:12]}")


@models.command("path")
@click.argument("name")
@json_option
def path_command(name: str, as_json: bool) -> None:
    """The file of a model, once its checksum is verified."""
    from hydracalc.registry import resolve

    path = str(resolve(name))
    click.echo(json.dumps({"path": path}) if as_json else path)


@models.command("info")
@click.argument("name")
@click.option("--all", "every", is_flag=True, help="Every element, every number.")
@json_option
def info_command(name: str, *, every: bool, as_json: bool) -> None:
    """A model's card: data, licences, errors by set, dynamics, speed, what it is not for."""
    from hydracalc.checkpoint import read_header
    from hydracalc.cli.model_card import lines
    from hydracalc.registry import full_name, resolve

    header = read_header(resolve(name))
    if as_json:
        click.echo(json.dumps({"name": full_name(name), **header}, indent=2))
        return
    click.echo("\n".join([full_name(name), *lines(header, every=every)]))


@models.command("measure")
@click.argument("model")
@click.argument("shards", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Model file.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help="JSON file that results are kept in; what it has is not measured again.",
)
@click.option("--only", default="", help="Sections, by commas; without it all that are missing.")
@click.option("--short", is_flag=True, help="Dynamics of a tenth of the time.")
@json_option
def measure_command(  # noqa: PLR0913  # one argument for each option
    model: str,
    shards: tuple[Path, ...],
    *,
    output: Path,
    results: Path | None,
    only: str,
    short: bool,
    as_json: bool,
) -> None:
    """Measure MODEL on the test labels of SHARDS and on physics; write it with that on its card.

    Errors by set and element, energy drift, curves of two atoms, lattice constants, speed, and
    whether the spread between branches tells the error. The weights stay as they are. All of it
    takes about a quarter of an hour, most of it dynamics.
    """
    from hydracalc.assessment import card, measure, report, stored
    from hydracalc.registry import resolve

    found = stored.load_results(results, measure.identity(model))
    sections = [name.strip() for name in only.split(",") if name.strip()] or measure.missing(found)
    measure.check_sections(sections, shards)
    asked = measure.Assessment(model=model, shards=shards, short=short)
    for section in sections:
        new = measure.SECTIONS[section](asked, lambda line: click.echo(line, err=True))
        measure.absorb(found, new)
        stored.store_results(results, found)
    sha256 = card.write_measured(resolve(model), output, found)
    if as_json:
        click.echo(json.dumps({"path": str(output), "sha256": sha256, "measured": found}))
        return
    click.echo("\n".join([*report.lines(found), f"model: {output}"]))

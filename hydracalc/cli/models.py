"""`hydracalc models`: which models there are, and what one says of itself."""

import json
from typing import Any

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
@json_option
def info_command(name: str, as_json: bool) -> None:
    """Branches of a model: level of theory, elements, licence, errors on its test split."""
    from hydracalc.checkpoint import read_header
    from hydracalc.registry import full_name, resolve

    header = read_header(resolve(name))
    if as_json:
        click.echo(json.dumps({"name": full_name(name), **header}, indent=2))
        return
    click.echo("\n".join([full_name(name), *_summary(header)]))


def _summary(header: dict[str, Any]) -> list[str]:
    config = header["config"]
    lines = [
        f"  encoder    {config['encoder']}, {config['num_layers']} layers, "
        f"{config['num_channels']} channels, cutoff {header['cutoff_A']:g} Angstrom",
        f"  stored as  {header['dtype']}, format {header['format_version']}, "
        f"written by hydracalc {header['hydracalc_version']}",
        f"  weighting  {'by composition (auto)' if header['weighting'] else 'none, name a branch'}",
        f"  sha256     {header['sha256']}",
    ]
    for branch in header["branches"]:
        card = branch["card"]
        lines += [
            f"branch {branch['name']}: {card['title']}",
            f"  theory     {card['theory']}",
            f"  elements   {' '.join(branch['references_eV'])}",
            f"  trained on {branch['num_structures']} structures; licence {card['license']}",
        ]
        lines += [f"  {key:40s}{value:.6g}" for key, value in sorted(branch["metrics"].items())]
    return lines

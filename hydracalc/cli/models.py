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
    lines += _provenance(header["provenance"])
    for branch in header["branches"]:
        lines += _branch(branch)
    return lines


def _branch(branch: dict[str, Any]) -> list[str]:
    from hydracalc.elements import number

    card = branch["card"]
    lines = [
        f"branch {branch['name']}: {card['title']}",
        f"  theory     {card['theory']}",
        f"  elements   {' '.join(sorted(branch['references_eV'], key=number))}",
        f"  trained on {branch['num_structures']} structures; licence {card['license']}",
        f"  source     {card['citation'] or card['doi'] or 'not stated'}",
    ]
    if card["computed_by"]:
        lines.append(f"  labels     not the published ones, computed by {card['computed_by']}")
    return lines + [f"  {key:40s}{value:.6g}" for key, value in sorted(branch["metrics"].items())]


def _provenance(provenance: dict[str, Any]) -> list[str]:
    """How the model was trained, and what "auto" is worth on compositions it never saw."""
    lines = []
    if "steps" in provenance:
        lines.append(
            f"  training   {provenance['steps']} steps, {provenance['epochs']} epochs, "
            f"{provenance['training_minutes']:g} minutes"
        )
    weighting = provenance.get("weighting")
    if weighting:
        lines.append("  held-out compositions, force MAE in eV/Angstrom, choice against auto:")
        auto = weighting["auto_on_the_same_force_mae_eV_per_A"]
        for name, value in weighting["held_out_force_mae_eV_per_A"].items():
            count = weighting["held_out_structures"][name]
            lines.append(f"    {name:14s}{value:.4f}  {auto[name]:.4f}  ({count} structures)")
    return lines

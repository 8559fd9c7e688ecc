"""`hydracalc data unite`: folders of one branch as one."""

import json
from pathlib import Path

import click

from hydracalc.cli.options import json_option

_FOLDER = click.Path(path_type=Path)


@click.command("unite")
@click.argument("folders", nargs=-1, required=True, type=_FOLDER)
@click.option("--out", "-o", required=True, type=_FOLDER, help="Folder to make.")
@json_option
def unite_command(folders: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Shards of one branch in several FOLDERS as one folder.

    Validation and test structures are those of the first folder; the others add to the training.
    The card says how many labels were computed, and by what.
    """
    from hydracalc.shards.union import unite

    writer = unite(folders, out)
    counts, dropped = dict(writer.num_structures), dict(writer.dropped)
    if as_json:
        click.echo(json.dumps({"num_structures": counts, "left_out": dropped}))
        return
    click.echo(", ".join(f"{count} {split}" for split, count in counts.items()))
    for reason, count in dropped.items():
        click.echo(f"left out {count}: {reason}")
    click.echo(f"shards: {out}")

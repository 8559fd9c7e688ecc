"""`hydracalc data align`: references of several branches on one footing."""

import json
from pathlib import Path

import click

from hydracalc.cli.options import json_option
from hydracalc.cli.tables import print_table


@click.command("align")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def align_command(folders: tuple[Path, ...], as_json: bool) -> None:
    """How far references of these shards can be put on one footing, and where they come to lie.

    The recipe key `references = "aligned"` trains a model with them: its interaction energies then
    mean the same in all branches that are tied.
    """
    from hydracalc.shards.alignment import align, collect_energies
    from hydracalc.shards.reader import open_shards

    branches = []
    for folder in folders:
        with open_shards(folder) as shards:
            branches.append(collect_energies(shards))
    names = [branch.name for branch in branches]
    if len(set(names)) < len(names):
        raise ValueError(f"branches are {names}, expected each once")
    alignment = align(branches)
    pairs = [
        {
            "branches": list(pair),
            "shared_compositions": alignment.num_shared[pair],
            "difference_before_eV_per_atom": alignment.before[pair],
            "difference_after_eV_per_atom": alignment.after[pair],
            "elements_tied_by_isolated_atoms": list(alignment.by_atoms[pair]),
        }
        for pair in alignment.num_shared
    ]
    tied = [sorted(group) for group in alignment.tied()]
    if as_json:
        references = {name: table.to_json() for name, table in alignment.references.items()}
        click.echo(json.dumps({"tied": tied, "pairs": pairs, "references_eV": references}))
        return
    for group in tied:
        click.echo(f"on one footing: {', '.join(group)}")
    print_table(
        ("branches", "shared", "before, eV/atom", "after, eV/atom", "tied by isolated atoms"),
        [
            (
                " ".join(pair),
                alignment.num_shared[pair],
                f"{alignment.before[pair]:.3f}",
                f"{alignment.after[pair]:.3f}",
                " ".join(alignment.by_atoms[pair]),
            )
            for pair in alignment.num_shared
            if alignment.num_shared[pair] or alignment.by_atoms[pair]
        ],
    )
    symbols = sorted({s for branch in branches for s in branch.references.to_json()})
    tables = [alignment.references[name].to_json() for name in names]
    print_table(
        ("reference, eV", *names),
        [(s, *(f"{t[s]:.4f}" if s in t else "" for t in tables)) for s in symbols],
    )

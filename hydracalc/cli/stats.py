"""`hydracalc data stats`: what shards hold, as tables, JSON or a picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hydracalc.cli.options import json_option
from hydracalc.cli.tables import counts, print_pairs, print_table

_COLUMNS = ("count", "mean", "std", "min", "p01", "median", "p99", "max")
_QUANTITIES = {
    "atoms": "num_atoms",
    "normalized energy, eV/atom": "normalized_energy_eV_per_atom",
    "force, eV/A": "force_eV_per_A",
    "largest force, eV/A": "largest_force_eV_per_A",
    "largest stress, eV/A^3": "largest_stress_eV_per_A3",
}


@click.command("stats")
@click.argument("out", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="Also draw a .png, .pdf or .svg.")
@json_option
def stats_command(out: tuple[Path, ...], plot: Path | None, as_json: bool) -> None:
    """Elements, sizes, energies, forces and references of folders of shards, and what they share.

    With several folders, also how many compositions each two have in common.
    """
    names = _names(out)
    draw = None if plot is None else _drawing()
    collected, shared = _collect(dict(zip(names, out, strict=True)))
    if draw is not None:
        draw(list(collected.values()), plot, overlap=shared)
    if as_json:
        both = {"folders": collected, "overlap": shared}
        click.echo(json.dumps(both if shared else collected[names[0]], indent=2))
        return
    for number, stats in enumerate(collected.values()):
        click.echo("\n" if number else "", nl=False)
        _print_stats(stats)
    if shared is not None:
        _print_overlap(shared)


def _names(paths: tuple[Path, ...]) -> list[str]:
    """A name for each folder: its own, or its path where two have the same.

    Raises:
        ValueError: a folder is given twice.
    """
    own = [path.resolve().name for path in paths]
    names = [n if own.count(n) == 1 else str(p) for n, p in zip(own, paths, strict=True)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice")
    return names


def _drawing() -> Any:  # noqa: ANN401  # a function of an optional part
    """The function that draws, before work is done that it would be needed for.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from hydracalc.survey.stats_plot import draw_stats
    except ImportError:
        raise ValueError(
            "--plot needs matplotlib; install it with: pip install 'hydracalc[plots]'"
        ) from None
    return draw_stats


def _collect(paths: Mapping[str, Path]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Statistics by name, and what they share where there are several."""
    from hydracalc.shards.reader import open_shards
    from hydracalc.survey.composition_overlap import count_compositions, overlap
    from hydracalc.survey.stats import collect_stats

    collected, counted = {}, {}
    for name, path in paths.items():
        with open_shards(path) as shards:
            collected[name] = collect_stats(shards)
            if len(paths) > 1:
                counted[name] = count_compositions(shards)
    return collected, overlap(counted) if counted else None


def _print_stats(stats: Mapping[str, Any]) -> None:
    print_pairs(
        {
            "branch": stats["branch"],
            "structures": counts(stats["num_structures"]),
            "charges": counts(stats["charges"]),
            "spin multiplicities": counts(stats["spin_multiplicities"]),
            **_coverage(stats["coverage"]),
        }
    )
    print_table(
        ("", *_COLUMNS),
        [
            (name, *(f"{stats[key][column]:.5g}" for column in _COLUMNS))
            for name, key in _QUANTITIES.items()
            if stats[key] is not None
        ],
    )
    print_table(
        ("element", "atoms", "structures", "reference, eV"),
        [
            (symbol, n["atoms"], n["structures"], f"{stats['references_eV'][symbol]:.4f}")
            for symbol, n in stats["elements"].items()
        ],
    )


def _coverage(coverage: Mapping[str, Any] | None) -> dict[str, str]:
    """How well the training split determines the references, in words."""
    if coverage is None:
        return {}
    pairs = {
        "references": f"rank {coverage['rank']} of {coverage['num_elements']}, "
        f"condition {coverage['condition']:.3g}"
    }
    if coverage["not_determined"]:
        pairs["not determined"] = ", ".join(coverage["not_determined"])
    return pairs


def _print_overlap(shared: Mapping[str, Any]) -> None:
    names = shared["names"]
    for title, key, shown in (
        ("formulas in common", "formulas", "{:,}"),
        ("reduced formulas in common", "reduced_formulas", "{:,}"),
        ("structures with a reduced formula of the column", "share_of_structures", "{:.1%}"),
    ):
        rows = zip(names, shared[key], strict=True)
        click.echo("")
        print_table(
            (title, *names), [(name, *(shown.format(n) for n in row)) for name, row in rows]
        )

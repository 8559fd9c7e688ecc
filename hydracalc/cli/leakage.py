"""`hydracalc data leakage`: how much the test split of shards gives away."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.options import json_option
from hydracalc.cli.tables import print_pairs, print_table

if TYPE_CHECKING:
    from hydracalc.survey.leakage import LeakageReport, SplitLeakage


@click.command("leakage")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--rattle", type=float, help="Displacement that counts as near, Angstrom.")
@click.option("--max-structures", type=int, help="Look at so many; of more, at a random choice.")
@click.option("--seed", type=int, help="Of the random split and of the choice.")
@json_option
def leakage_command(out: Path, *, as_json: bool, **choices: float | None) -> None:
    """How near test structures are to training structures, against a random split.

    The stored split keeps groups together. Had structures been dealt at random, many would have
    nearly equal ones in training, and errors on them would promise too much.
    """
    from hydracalc.shards.reader import open_shards
    from hydracalc.survey.leakage import LeakageConfig, measure_leakage

    given: dict[str, Any] = {key: value for key, value in choices.items() if value is not None}
    config = LeakageConfig(**given)
    with open_shards(out) as shards:
        report = measure_leakage(shards, config)
    if as_json:
        click.echo(json.dumps({**asdict(report), "optimism": report.optimism}, indent=2))
        return
    _print_report(report)


def _print_report(report: "LeakageReport") -> None:
    looked_at = f"{report.num_examined:,} of {report.num_structures:,}"
    print_pairs(
        {
            "branch": report.branch,
            "structures looked at": looked_at,
            "near": f"within what a displacement of {report.rattle:g} A changes",
            "seed of the random split": report.seed,
        }
    )
    columns = ("test structures", "stored split", "random split")
    print_table(columns, [(n, *both) for n, both in _rows(report.stored, report.random).items()])
    if report.optimism is not None:
        click.echo(
            f"looking up the nearest training structure: its energy error on the stored split is "
            f"{report.optimism:.2f} times that on the random split"
        )


def _rows(*splits: "SplitLeakage") -> dict[str, list[str]]:
    def share(count: int, of: int) -> str:
        return f"{count:,} ({count / of:.1%})"

    def error(value: float | None) -> str:
        return "" if value is None else f"{value:.4g}"

    return {
        "all": [f"{s.num_test:,}" for s in splits],
        "group also trains": [share(s.same_group, s.num_test) for s in splits],
        "composition also trains": [share(s.same_composition, s.num_test) for s in splits],
        "exact duplicate trains": [share(s.exact_duplicates, s.num_test) for s in splits],
        "near duplicate trains": [share(s.near_duplicates, s.num_test) for s in splits],
        "error of the nearest's energy, eV/atom": [
            error(s.nearest_energy_mae_eV_per_atom) for s in splits
        ],
        "error of the mean energy, eV/atom": [error(s.baseline_mae_eV_per_atom) for s in splits],
    }

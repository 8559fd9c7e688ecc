"""Bayesian optimization against random search: the same trials, workers and fidelity, by seeds.

    python benchmarks/search.py SEARCH data_dir=shards --seeds 0,1,2 --trials 20 --workers 2

Both samplers run with each seed, one after the other, without discarding; told are the best
objective of each and the medians over seeds. With --discarding the searches of the first sampler
run once more with that rule, and what it saved and lost is told. A search that is there already is
not run again: the same command goes on.
"""

import json
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from hydracalc.hpo.config import DiscardingConfig, SearchConfig, load_search
from hydracalc.hpo.journal import SETTINGS
from hydracalc.hpo.search import Watcher, search
from hydracalc.hpo.summary import Summary, summarize


def run(config: SearchConfig, folder: Path) -> Summary:
    """A search, or what it came to before."""

    def say(trial: object) -> None:
        click.echo(f"  {folder.name}: {trial.number} {trial.status} {trial.objective}", err=True)

    trials = search(
        config,
        folder,
        goes_on=(folder / SETTINGS).is_file(),
        watcher=Watcher(on_trial=say),
    )
    return summarize(trials)


@click.command(help=__doc__)
@click.argument("given")
@click.argument("overrides", nargs=-1)
@click.option("--seeds", default="0,1,2", show_default=True)
@click.option("--trials", default=20, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--epochs", type=int, help="Of a whole trial, other than the search says.")
@click.option("--discarding", help="Rule of the third searches: median or halving.")
@click.option("--output", "-o", default="runs/search", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True)
def main(  # noqa: PLR0913  # options
    given: str,
    overrides: tuple[str, ...],
    *,
    seeds: str,
    trials: int,
    workers: int,
    epochs: int | None,
    discarding: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Run all searches, tell what they came to."""
    words = [f"trials={trials}", f"workers={workers}"]
    words += [f"fidelity.epochs={epochs}"] if epochs else []
    if overrides:
        words.append(f"overrides={json.dumps([*load_search(given).overrides, *overrides])}")
    base = replace(load_search(given, words), discarding=DiscardingConfig())
    kinds = {"cbo": base, "random": replace(base, sampler="random")}
    if discarding:
        rule = replace(load_search(given).discarding, rule=discarding)
        kinds[f"cbo, {discarding}"] = replace(base, discarding=rule)
    numbers = [int(seed) for seed in seeds.split(",")]
    found = {
        kind: [
            run(replace(config, seed=seed), output / f"{kind.replace(', ', '-')}-{seed}")
            for seed in numbers
        ]
        for kind, config in kinds.items()
    }
    rows = {
        kind: {
            "best": [each.objective for each in results],
            "median": float(np.median([each.objective or np.inf for each in results])),
            "epochs": sum(each.epochs for each in results),
            "saved": float(np.mean([each.saved for each in results])),
            "failed": sum(each.counts["failed"] for each in results),
            "energy_joule": sum(each.energy_joule for each in results),
            "energy_is_estimate": any(each.energy_is_estimate for each in results),
        }
        for kind, results in found.items()
    }
    if as_json:
        click.echo(json.dumps(rows))
        return
    for kind, row in rows.items():
        best = ", ".join(f"{value:.4g}" if value else "none" for value in row["best"])
        click.echo(
            f"{kind:14s} median best {row['median']:.4g} ({best}); {row['epochs']} epochs, "
            f"{100 * row['saved']:.0f} % saved, {row['failed']} failed"
        )


if __name__ == "__main__":
    main()

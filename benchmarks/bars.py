"""The bars that a model for use is held to, on test labels and on physics, section by section.

    python benchmarks/bars.py mtl-all shards/*
    python benchmarks/bars.py run/model.safetensors shards/* --only errors,lattices
    python benchmarks/bars.py run/model.safetensors --only nve --systems Si --branches mptrj --short

With `-o FILE.json` results of several calls for one model add up in the file; `hydracalc models
measure` puts them on the model's card.
"""

import json
from pathlib import Path

import click

from hydracalc.assessment import measure, report
from hydracalc.assessment.conservation import MOTIONS
from hydracalc.assessment.stored import load_results, store_results


def words(text: str) -> tuple[str, ...]:
    """Parts of a comma-separated list; none of an empty one."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


@click.command(help=__doc__)
@click.argument("model")
@click.argument("shards", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--only", default="", help=f"Sections, of {', '.join(measure.SECTIONS)}.")
@click.option("--systems", default=",".join(MOTIONS), show_default=True, help="Of section nve.")
@click.option("--branches", default="", help="Instead of those that a section takes itself.")
@click.option("--short", is_flag=True, help="Dynamics of a tenth of the time.")
@click.option("--dtype", default="auto", show_default=True, help="Of dynamics, pairs, speed.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to add results to.")
@click.option("--all", "every", is_flag=True, help="Also by element, pair and spread.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def main(  # noqa: PLR0913  # one argument for each option
    model: str,
    shards: tuple[Path, ...],
    *,
    only: str,
    systems: str,
    branches: str,
    short: bool,
    dtype: str,
    output: Path | None,
    every: bool,
    as_json: bool,
) -> None:
    """Command line."""
    sections = words(only) or tuple(measure.SECTIONS)
    try:
        measure.check_sections(sections, shards)
        asked = measure.Assessment(
            model=model,
            shards=shards,
            branches=words(branches),
            moving=words(systems),
            short=short,
            dtype=dtype,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    results, fresh = load_results(output, measure.identity(model)), {}
    for section in sections:
        found = measure.SECTIONS[section](asked, lambda line: click.echo(line, err=True))
        measure.absorb(results, found)
        measure.absorb(fresh, found)
        store_results(output, results)
    click.echo(json.dumps(results) if as_json else "\n".join(report.lines(fresh, every=every)))


if __name__ == "__main__":
    main()

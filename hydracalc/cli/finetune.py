"""`hydracalc finetune`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hydracalc.cli.options import json_option

if TYPE_CHECKING:
    from hydracalc.finetuning.finetune import FinetuneReport

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("model")
@click.argument("data")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--output", "-o", required=True, type=_FOLDER, help="Folder to write into.")
@click.option("--recipe", type=_FOLDER, help="TOML file of settings.")
@click.option("--from-branch", help="Branch to begin as; else that with the best forces.")
@click.option("--new-branch", help="Name of the new branch.")
@click.option("--method", help="full, heads, lora, or scratch to compare.")
@click.option("--references", help="refit, kept, isolated, or a JSON file of eV by symbol.")
@click.option("--val", help="Data to choose the weights by; else a part of DATA.")
@click.option("--test", help="Data to measure the errors on.")
@click.option("--replay", multiple=True, type=_FOLDER, help="Shards of old branches, trained too.")
@click.option("--watch", multiple=True, type=_FOLDER, help="Shards to measure forgetting on.")
@json_option
def finetune(  # noqa: PLR0913  # one for each option
    model: str,
    data: str,
    overrides: tuple[str, ...],
    *,
    output: Path,
    recipe: Path | None,
    from_branch: str | None,
    new_branch: str | None,
    method: str | None,
    references: str | None,
    val: str | None,
    test: str | None,
    replay: tuple[Path, ...],
    watch: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Give MODEL a new branch, trained on DATA: a file with labels that ASE reads, or shards.

    The new branch begins as a copy of an old one, which is chosen by its errors on DATA unless it
    is named. Settings that are not given follow from the size of DATA; any may be set: steps=2000,
    loss.energy_weight=10. OUTPUT/model.safetensors answers with the new branch by default.
    """
    from dataclasses import asdict

    from hydracalc.finetuning.config import FinetuneConfig
    from hydracalc.finetuning.finetune import Sources
    from hydracalc.finetuning.finetune import finetune as run
    from hydracalc.recipe import load_settings

    named = {
        "from_branch": from_branch,
        "new_branch": new_branch,
        "method": method,
        "references": references,
    }
    given = [f'{key}="{value}"' for key, value in named.items() if value is not None]
    report = run(
        model,
        Sources(data=data, val=val, test=test, replay=replay, watch=watch),
        output,
        load_settings(FinetuneConfig, recipe, [*given, *overrides]),
    )
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    click.echo("\n".join(_lines(report)))
    click.echo(f"model: {output / 'model.safetensors'}")


def _lines(report: "FinetuneReport") -> Iterator[str]:
    """The report as text, errors in meV."""
    counts = ", ".join(f"{count} {split}" for split, count in report.structures.items() if count)
    yield f"structures: {counts}"
    for reason, count in report.left_out.items():
        yield f"left out {count}: {reason}"
    yield f"begins as branch {report.from_branch}; forces on the training data before, meV/A:"
    for candidate in report.candidates:
        error, missing = candidate["force_mae"], candidate["missing"]
        what = f"lacks {', '.join(missing)}" if missing else "no force labels"
        yield f"  {candidate['branch']:20s} {what if error is None else format(1e3 * error, '.1f')}"
    yield "reference energies, eV: element, before, now"
    for symbol, (before, now) in report.references.items():
        yield f"  {symbol:2s} {'-' if before is None else format(before, '.4f'):>14s} {now:14.4f}"
    yield f"{report.trained} weights trained, {report.steps} steps, {report.seconds:.0f} s"
    yield f"weights of validation {report.best[0]} of {report.best[1]}"
    yield from _errors(report)


def _errors(report: "FinetuneReport") -> Iterator[str]:
    """Errors of the new branch, and what happened to the old ones."""
    for stage, splits in report.errors.items():
        for split, errors in splits.items():
            yield f"  {stage:7s} {split:4s}  {_in_words(errors)}"
    for branch, both in report.forgotten.items():
        yield f"forgotten by {branch}:"
        for stage, errors in both.items():
            yield f"  {stage:7s}       {_in_words(errors)}"
    for branch, moved in report.drift.items():
        yield f"forces of {branch} moved by {1e3 * moved:.1f} meV/A on the validation data"


def _in_words(errors: dict[str, float]) -> str:
    units = {"energy": "meV/atom", "force": "meV/A", "stress": "meV/A^3"}
    return ", ".join(
        f"{key.split('_')[0]} MAE {1e3 * value:.2f} {units[key.split('_')[0]]}"
        for key, value in errors.items()
    )

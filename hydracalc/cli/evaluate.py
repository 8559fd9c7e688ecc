"""`hydracalc eval`: errors of a model on labelled data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.options import branch_choice, json_option, model_options

if TYPE_CHECKING:
    from hydracalc.validation.evaluation import Evaluation


@click.command("eval")
@click.argument("data", nargs=-1, required=True)
@model_options
@click.option("--split", default="test", show_default=True, help="Of shards; all takes everything.")
@click.option("--max-atoms", type=int, default=None, help="Atoms evaluated at a time.")
@click.option("--by", default="element", show_default=True, help="Printed: element, size, force.")
@click.option(
    "--parity", type=click.Path(path_type=Path), help="Picture of labels and predictions."
)
@click.option("--report", type=click.Path(path_type=Path), help="Page with everything, .html.")
@json_option
def evaluate(  # noqa: PLR0913  # one argument for each option
    data: tuple[str, ...],
    *,
    settings: Mapping[str, Any],
    split: str,
    max_atoms: int | None,
    by: str,
    parity: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Errors on DATA: shards, or files with labels that ASE reads.

    Shards are answered by the branch of their dataset unless `-b` says otherwise. Labels of a file
    are REF_energy, REF_forces, REF_stress, else the results that ASE finds in it. Energies are
    compared per atom on the branch's own scale; no offset is fitted.
    """
    from hydracalc.registry import full_name
    from hydracalc.validation.evaluation_table import breakdowns, table

    told = breakdowns(by)
    draw, write = _drawing(parity, "--parity"), _drawing(report, "--report")
    found = _evaluated(data, settings, split=split, max_atoms=max_atoms)
    name = full_name(settings["model"])
    if parity is not None:
        draw.draw(list(found.values()), parity)
    if report is not None:
        write.write_report(found, report, model=name)
    if as_json:
        each = {path: evaluation.to_json() for path, evaluation in found.items()}
        one = {"data": data[0], **each[data[0]]} if len(data) == 1 else {"data": each}
        click.echo(json.dumps({"model": name, **one}, indent=2))
        return
    for path, evaluation in found.items():
        if len(found) > 1:
            click.echo(path)
        click.echo("\n".join(table(evaluation, told)))


def _evaluated(
    data: tuple[str, ...], settings: Mapping[str, Any], *, split: str, max_atoms: int | None
) -> "dict[str, Evaluation]":
    """Errors on each of the data.

    Raises:
        ValueError: one is given twice, or cannot be read.
        DataError: there is nothing in one that can be evaluated.
    """
    from hydracalc.errors import DataError
    from hydracalc.predictor import InferenceConfig
    from hydracalc.registry import load_model
    from hydracalc.validation.evaluation import OWN, evaluate_named
    from hydracalc.validation.labelled_data import open_labelled

    opened = [open_labelled(path, split=split) for path in data]
    branch: Any = branch_choice(settings["branch"])
    model = load_model(settings["model"], dtype=settings["dtype"], device=settings["device"])
    found = {}
    for each in opened:
        if each.path in found:
            raise ValueError(f"{each.path} is given twice")
        found[each.path] = evaluate_named(
            model.requires_grad_(False),
            each.structures,
            branch=OWN if branch is None and each.is_shards else branch,
            max_atoms=InferenceConfig.max_atoms if max_atoms is None else max_atoms,
        )
        if not found[each.path].branches:
            left_out = dict(found[each.path].left_out)
            raise DataError(f"{each.path}: no structure to evaluate; left out: {left_out}")
    return found


def _drawing(path: Path | None, option: str) -> Any:  # noqa: ANN401  # a module of an optional part
    """What draws, before any time is spent on numbers; None where nothing is asked for.

    Raises:
        ValueError: matplotlib is not installed.
    """
    if path is None:
        return None
    try:
        from hydracalc.validation import parity, report
    except ModuleNotFoundError as error:
        raise ValueError(f"{option} needs {error.name}: pip install 'hydracalc[plots]'") from None
    return parity if option == "--parity" else report

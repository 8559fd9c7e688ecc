"""`hydracalc transfer`: every branch against every dataset; did training together help?"""

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from hydracalc.cli.options import json_option
from hydracalc.cli.tables import print_table

if TYPE_CHECKING:
    from hydracalc.recipe import Recipe
    from hydracalc.validation.transfer_matrix import Row, TransferMatrix


@click.command("transfer")
@click.argument("model")
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--single", multiple=True, metavar="NAME=MODEL", help="Trained on NAME alone.")
@click.option("--recipes", is_flag=True, help="Only write recipes of the single-task models.")
@click.option("--train", is_flag=True, help="Train the single-task models that are missing.")
@click.option(
    "--equal",
    type=click.Choice(["updates", "passes"]),
    default="updates",
    show_default=True,
    help="What a single-task model gets as much of as the run: updates, or passes over its data.",
)
@click.option("--split", default="test", show_default=True, help="Of the shards.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
@json_option
def transfer(  # noqa: PLR0913  # one argument for each option
    model: str,
    shards: tuple[Path, ...],
    *,
    output: Path,
    single: tuple[str, ...],
    recipes: bool,
    train: bool,
    equal: Literal["updates", "passes"],
    split: str,
    device: str,
    as_json: bool,
) -> None:
    """Errors of every branch of MODEL on every dataset of SHARDS, as table, heat map and JSON.

    MODEL is a name, a file or the folder of a run. Models that were trained on one dataset alone
    are rows, too: those given, and those in OUTPUT/single, where --train puts them, or pretrain
    with the recipes there. With them, the report says whether training together helped or hurt.
    """
    from hydracalc.registry import full_name

    _check_drawing()
    file, given = _model_file(model), _named(single)
    expected, reason = _expected(file, shards, equal)
    if recipes or train:
        if reason:
            raise ValueError(reason)
        _write_recipes(expected, output / "single")
    if recipes:
        return
    if train:
        _train(expected, output / "single", given)
    found = _found(output / "single", _branches(shards)) | given
    rows, notes = _rows(file, found, expected, device=device, unknown_recipe=reason)
    matrix = _measured(rows, shards, split, notes)
    _write(matrix, output, full_name(file))
    if as_json:
        click.echo(json.dumps({"model": full_name(file), **matrix.to_json()}, indent=2))
        return
    _show(matrix)
    click.echo(f"written: {output / 'transfer.html'}, .png and .json beside it")


def _model_file(model: str) -> str | Path:
    """A model as the registry takes it; of a run's folder, the file in it."""
    inside = Path(model) / "model.safetensors"
    return inside if inside.is_file() else model


def _named(single: Iterable[str]) -> dict[str, str | Path]:
    """Single-task models by the dataset that each was trained on.

    Raises:
        ValueError: one has no name, or two have the same.
    """
    models: dict[str, str | Path] = {}
    for text in single:
        name, equals, model = text.partition("=")
        if not equals or not name or not model:
            raise ValueError(f"--single {text!r}: expected NAME=MODEL")
        if name in models:
            raise ValueError(f"--single {name} is given twice")
        models[name] = _model_file(model)
    return models


def _branches(shards: Iterable[Path]) -> list[str]:
    from hydracalc.shards.manifest import read_manifest

    return [read_manifest(folder).card.branch for folder in shards]


def _expected(
    file: str | Path, shards: tuple[Path, ...], equal: Literal["updates", "passes"]
) -> "tuple[dict[str, Recipe], str]":
    """Recipe of each dataset of the model's run alone, or the reason why there is none.

    Raises:
        DataError: shards or the model are damaged.
    """
    from hydracalc.errors import DataError
    from hydracalc.validation.single_task import finished_run, single_recipes

    names = _branches(shards)
    try:
        run = finished_run(file)
        trained = [branch.name for branch in run.recipe.branches]
        twice = sorted({name for name in names if names.count(name) > 1 and name in trained})
        if twice:
            raise ValueError(f"several folders hold {', '.join(twice)}; which was trained on?")
        folders = {n: folder for n, folder in zip(names, shards, strict=True) if n in trained}
        return single_recipes(run, folders, equal=equal), ""
    except DataError:
        raise
    except ValueError as error:
        return {}, str(error)


def _write_recipes(recipes: "Mapping[str, Recipe]", folder: Path) -> None:
    from hydracalc.recipe import to_toml

    folder.mkdir(parents=True, exist_ok=True)
    for name, recipe in recipes.items():
        path = folder / f"{name}.toml"
        path.write_text(to_toml(recipe))
        click.echo(f"hydracalc pretrain {path} -o {folder / name} --continue", err=True)


def _train(recipes: "Mapping[str, Recipe]", folder: Path, given: Mapping[str, str | Path]) -> None:
    """Train what is neither given nor trained, on this process; what was begun goes on.

    Raises:
        ValueError: what was begun there has another recipe.
    """
    from hydracalc.run.pretrain import pretrain

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, recipe in recipes.items():
        place = folder / name
        if name not in given and not (place / "model.safetensors").is_file():
            click.echo(f"training {name} alone", err=True)
            pretrain(recipe, place, resume=(place / "state.safetensors").is_file())


def _found(folder: Path, names: Iterable[str]) -> dict[str, str | Path]:
    """Single-task models that lie in a folder, by dataset."""
    places = {name: folder / name / "model.safetensors" for name in names}
    return {name: place for name, place in places.items() if place.is_file()}


def _rows(
    file: str | Path,
    single: Mapping[str, str | Path],
    expected: "Mapping[str, Recipe]",
    *,
    device: str,
    unknown_recipe: str,
) -> "tuple[list[Row], dict[str, str]]":
    """Branches of the model, then single-task models; how those were trained otherwise.

    Raises:
        ValueError: a single-task model has other branches than its name says.
    """
    from hydracalc.registry import load_model
    from hydracalc.validation.single_task import differences
    from hydracalc.validation.transfer_matrix import Row

    model = load_model(file, device=device).requires_grad_(False)
    rows = [
        Row(name=name, model=model, branch=name, is_single=False) for name in model.branch_names
    ]
    notes = {}
    for name, path in single.items():
        alone = load_model(path, device=device).requires_grad_(False)
        if alone.branch_names != (name,):
            raise ValueError(f"--single {name}: {path} has the branches {alone.branch_names}")
        rows.append(Row(name=f"{name} alone", model=alone, branch=name, is_single=True))
        note = differences(expected[name], path) if name in expected else unknown_recipe
        if note:
            notes[name] = note
    return rows, notes


def _measured(
    rows: "list[Row]", shards: tuple[Path, ...], split: str, notes: Mapping[str, str]
) -> "TransferMatrix":
    from hydracalc.validation.transfer_matrix import TransferConfig, measure_transfer

    return measure_transfer(rows, shards, config=TransferConfig(split=split), notes=notes)


def _check_drawing() -> None:
    """Make sure that the picture can be drawn, before time is spent on numbers.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        import hydracalc.validation.heat_map  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(f"transfer needs {error.name}: pip install 'hydracalc[plots]'") from None


def _write(matrix: "TransferMatrix", folder: Path, model: str) -> None:
    """The page, the picture and the numbers."""
    from hydracalc.validation.heat_map import heat_map
    from hydracalc.validation.pictures import as_png
    from hydracalc.validation.transfer_report import write_transfer_page

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "transfer.png").write_bytes(as_png(heat_map(matrix)))
    text = json.dumps({"model": model, **matrix.to_json()}, indent=2)
    (folder / "transfer.json").write_text(text + "\n")
    write_transfer_page(matrix, folder / "transfer.html", model=model)


def _show(matrix: "TransferMatrix") -> None:
    from hydracalc.validation.transfer_report import VERDICT_COLUMNS, matrix_rows, verdict_rows

    names = [column.name for column in matrix.columns]
    for quantity, title in (
        ("force", "force MAE, meV/Angstrom"),
        ("energy", "energy MAE after refit, meV/atom"),
    ):
        print_table((title, *names), matrix_rows(matrix, quantity))
        click.echo("")
    if verdicts := verdict_rows(matrix):
        print_table(VERDICT_COLUMNS, verdicts)
    for name, note in matrix.notes.items():
        click.echo(f"{name} alone was trained otherwise: {note}")

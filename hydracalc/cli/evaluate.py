"""`hydracalc eval`: errors of a model on labelled data."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.options import branch_choice, json_option, model_options

if TYPE_CHECKING:
    from hydracalc.structure import AtomicStructure


ALL = "all"
_READ_AT_ONCE = 256  # structures


@click.command("eval")
@click.argument("data")
@model_options
@click.option("--split", default="test", show_default=True, help="Of shards; all takes everything.")
@click.option("--max-atoms", type=int, default=None, help="Atoms evaluated at a time.")
@click.option(
    "--parity", type=click.Path(path_type=Path), help="Picture of labels and predictions."
)
@json_option
def evaluate(
    data: str,
    settings: Mapping[str, Any],
    split: str,
    max_atoms: int | None,
    parity: Path | None,
    as_json: bool,
) -> None:
    """Errors on DATA: shards, or a file with labels that ASE reads.

    Shards are answered by the branch of their dataset unless `-b` says otherwise. Labels of a file
    are REF_energy, REF_forces, REF_stress, else the results that ASE finds in it.
    """
    from hydracalc.errors import DataError
    from hydracalc.predictor import InferenceConfig
    from hydracalc.registry import full_name, load_model
    from hydracalc.validation import evaluation

    draw = None if parity is None else _drawing()
    is_shards = _is_shards(data)
    branch: Any = branch_choice(settings["branch"])
    if branch is None and is_shards:
        branch = evaluation.OWN
    model = load_model(settings["model"], dtype=settings["dtype"], device=settings["device"])
    report = evaluation.evaluate(
        model.requires_grad_(False),
        _shard_structures(data, split) if is_shards else _file_structures(data),
        branch=branch,
        max_atoms=InferenceConfig.max_atoms if max_atoms is None else max_atoms,
        keep_pairs=parity is not None,
    )
    if not report.branches:
        raise DataError(f"{data}: no structure to evaluate; left out: {dict(report.left_out)}")
    if draw is not None:
        draw(report, parity)
    if as_json:
        head = {"model": full_name(settings["model"]), "data": data}
        click.echo(json.dumps({**head, **report.to_json()}, indent=2))
        return
    click.echo("\n".join(evaluation.table(report)))


def _drawing() -> Any:  # noqa: ANN401
    """The function that draws, before any time is spent on numbers."""
    try:
        from hydracalc.validation.parity import draw
    except ModuleNotFoundError as error:
        raise ValueError(f"--parity needs {error.name}: pip install 'hydracalc[plots]'") from None
    return draw


def _is_shards(data: str) -> bool:
    """Whether DATA is a folder of shards, be it one with parts missing."""
    folder = Path(data)
    return (folder / "manifest.json").is_file() or any(folder.glob("shard-*.bp"))


def _shard_structures(data: str, split: str) -> "Iterator[AtomicStructure]":
    import numpy as np

    from hydracalc.shards.reader import open_shards
    from hydracalc.shards.table import split_index

    wanted = None if split == ALL else split_index(split)
    with open_shards(data) as shards:
        chosen = (
            np.arange(len(shards)) if wanted is None else np.nonzero(shards.splits == wanted)[0]
        )
        for start in range(0, len(chosen), _READ_AT_ONCE):
            yield from shards.read(chosen[start : start + _READ_AT_ONCE])


def _file_structures(data: str) -> "Iterator[AtomicStructure]":
    from hydracalc.inputs import as_labelled, read_atoms

    for index, atoms in enumerate(read_atoms(data)):
        yield as_labelled(atoms, source=f"{data}:{index}")

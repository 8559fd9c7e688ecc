"""Recipes of single-task models: each dataset of a multi-task run alone, as the run had it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hydracalc.checkpoint import read_header
from hydracalc.errors import unknown
from hydracalc.recipe import Recipe, parse_recipe, refuse_changes
from hydracalc.registry import resolve
from hydracalc.shards.manifest import Manifest, read_manifest

EQUAL = ("updates", "passes")


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What a model file tells of the run that made it.

    Attributes:
        recipe: as it was resolved.
        epochs: that were trained.
    """

    recipe: Recipe
    epochs: int


def finished_run(model: str | Path) -> FinishedRun:
    """The run that made a model.

    Raises:
        ValueError: the file does not tell its recipe, as of a model that was not pretrained.
    """
    path = resolve(model)
    provenance = read_header(path)["provenance"]
    text, epochs = provenance.get("recipe"), provenance.get("epochs")
    try:
        if not isinstance(text, str) or not isinstance(epochs, int):
            raise ValueError("it is not stated")
        recipe = parse_recipe(tomllib.loads(text))
    except ValueError as error:
        raise ValueError(f"{path}: its recipe cannot be followed: {error}") from None
    return FinishedRun(recipe=recipe, epochs=epochs)


def single_recipes(
    run: FinishedRun,
    shards: Mapping[str, Path],
    *,
    equal: Literal["updates", "passes"] = "updates",
) -> dict[str, Recipe]:
    """A recipe for each dataset alone, everything else as in the run.

    Args:
        run: of the multi-task model.
        shards: folder of each branch's shards, by its name.
        equal: what a dataset gets as much of alone as in the run: "updates" of the weights, with
            batches of the same size, or "passes" over its own structures. The first gives a
            single-task model more of its own data, the second fewer updates.

    Raises:
        ValueError: the run has no such branch, or `equal` is neither.
        DataError: the shards are damaged.
    """
    if equal not in EQUAL:
        raise ValueError(unknown("kind of equal training", equal, EQUAL))
    names = [branch.name for branch in run.recipe.branches]
    for name in shards:
        if name not in names:
            raise ValueError(unknown("branch", name, names))
    missing = [name for name in names if name not in shards]
    if missing:
        raise ValueError(f"the run has the branches {missing}, too; give their shards as well")
    manifests = {name: read_manifest(Path(shards[name])) for name in names}
    passes = _passes(run.recipe, manifests)
    factors = passes if equal == "passes" else _updates(passes, manifests)
    recipes = {}
    for branch in run.recipe.branches:
        training = replace(
            run.recipe.trainer.training,
            epochs=max(1, round(run.epochs * factors[branch.name])),
            max_minutes=None,
        )
        recipes[branch.name] = replace(
            run.recipe,
            name=f"{run.recipe.name}-{branch.name}-alone",
            data_dir=".",
            branches=(replace(branch, shards=str(Path(shards[branch.name]).resolve()), share=1.0),),
            trainer=replace(run.recipe.trainer, training=training),
        )
    return recipes


def _passes(recipe: Recipe, manifests: Mapping[str, Manifest]) -> dict[str, float]:
    """How often an epoch of the run goes through each dataset: draws over structures.

    An epoch has as many draws as there are structures, shared out ~ share n^alpha.
    """
    counts = {name: manifest.num_structures["train"] for name, manifest in manifests.items()}
    alpha = recipe.trainer.sampler.alpha
    shares = {
        branch.name: branch.share * counts[branch.name] ** alpha for branch in recipe.branches
    }
    per_share = sum(counts.values()) / sum(shares.values())
    return {name: per_share * shares[name] / counts[name] for name in counts}


def _updates(passes: Mapping[str, float], manifests: Mapping[str, Manifest]) -> dict[str, float]:
    """How many passes over a dataset alone have the updates of one epoch of the run.

    An update takes a number of atoms, so updates are as the atoms that are drawn.
    """
    atoms = {
        name: each.num_atoms / sum(each.num_structures.values()) * each.num_structures["train"]
        for name, each in manifests.items()
    }
    drawn = sum(passes[name] * atoms[name] for name in atoms)
    return {name: drawn / atoms[name] for name in atoms}


def differences(expected: Recipe, model: str | Path) -> str:
    """How a single-task model was trained otherwise than expected, in words; empty if it was not.

    Args:
        expected: of `single_recipes`.
        model: the single-task model.
    """
    try:
        run = finished_run(model)
        # where the shards lie is not what they hold, and alone they need no share
        moved = tuple(
            replace(own, name=branch.name)
            for branch, own in zip(expected.branches, run.recipe.branches, strict=False)
        )
        refuse_changes(replace(expected, branches=moved), run.recipe)
    except ValueError as error:
        return str(error).removeprefix("the run was begun with another recipe: ")
    epochs = expected.trainer.training.epochs
    return "" if run.epochs == epochs else f"epochs were {run.epochs}, expected {epochs}"

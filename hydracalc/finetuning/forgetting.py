"""What fine-tuning did to the branches that were there before."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydracalc.errors import unknown
from hydracalc.finetuning.new_branch import predict
from hydracalc.models.hydra import HydraModel
from hydracalc.shards.reader import open_shards
from hydracalc.structure import AtomicStructure
from hydracalc.validation.evaluation import evaluate

# structures of a dataset that are trained along, and that errors are measured on
_MOST_REPLAYED = 2000
_MOST_MEASURED = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class OldData:
    """Structures of datasets that the model was trained on before.

    Attributes:
        train: to be trained along.
        held_out: of their validation and test parts.
    """

    train: list[AtomicStructure]
    held_out: list[AtomicStructure]


NOTHING_OLD = OldData(train=[], held_out=[])


def read_old(folders: Sequence[Path], model: HydraModel, *, seed: int) -> OldData:
    """Some structures of shards of branches that a model has.

    Raises:
        ValueError: the model has no such branch.
        DataError: shards are damaged.
    """
    train: list[AtomicStructure] = []
    held_out: list[AtomicStructure] = []
    rng = np.random.default_rng(seed)
    for folder in folders:
        with open_shards(folder) as shards:
            if shards.branch not in model.branch_names:
                raise ValueError(
                    f"{folder}: {unknown('branch', shards.branch, model.branch_names)}"
                )
            for rows, part, most in (
                (np.flatnonzero(shards.splits == 0), train, _MOST_REPLAYED),
                (np.flatnonzero(shards.splits > 0), held_out, _MOST_MEASURED),
            ):
                part += shards.read(np.sort(rng.permutation(rows)[:most]))
    return OldData(train=train, held_out=held_out)


def errors_by_branch(
    model: HydraModel, structures: Sequence[AtomicStructure]
) -> dict[str, dict[str, float]]:
    """Errors of every structure's own branch, keys with units."""
    report = evaluate(model, structures, branch="own")
    return {name: errors_of(errors.to_json()) for name, errors in report.branches.items()}


def errors_of(report: dict[str, object]) -> dict[str, float]:
    """The mean absolute errors of a report."""
    return {key: float(v) for key, v in report.items() if "_mae_" in key and isinstance(v, float)}


def drift(
    before: HydraModel, after: HydraModel, structures: Sequence[AtomicStructure]
) -> dict[str, float]:
    """How far forces of the old branches moved on structures, mean |change|, eV/Angstrom.

    Needs no labels; branches that lack an element of the structures, or that the model after no
    longer has, are not in it.
    """
    moved = {}
    for index, name in enumerate(before.branch_names):
        knows = before.supported[index].cpu().numpy()
        some = [s for s in structures if knows[s.atomic_numbers].all()][:_MOST_MEASURED]
        if not some or name not in after.branch_names:
            continue
        old, new = (
            np.concatenate([np.asarray(p.forces) for p in predict(model, name, some)])
            for model in (before, after)
        )
        moved[name] = float(np.abs(new - old).mean())
    return moved

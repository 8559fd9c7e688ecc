"""Shards of one branch from several folders as one: published labels, and computed ones beside."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import JsonValue

from hydracalc.card import Card
from hydracalc.shards.manifest import Manifest
from hydracalc.shards.reader import Shards, open_shards
from hydracalc.shards.table import SPLITS
from hydracalc.shards.writer import ShardWriter

_READ_AT_ONCE = 1024  # structures
# key of the settings: what was united, in the order of the training structures
UNITED = "united"
NOT_FOR_TRAINING = "of an added folder, not for training"


def unite(folders: Sequence[Path], out: Path) -> ShardWriter:
    """Write one folder with the structures of several.

    Validation and test structures are those of the first folder alone, so that errors are measured
    on its labels; the others add to the training. References are fitted anew.

    Args:
        folders: of one branch, the one that is measured on first.
        out: folder to make.

    Returns:
        the writer, which knows how many structures were kept in each split and left out.

    Raises:
        ValueError: there are fewer than two folders, they are of several branches, or `out` exists.
        DataError: shards are damaged.
    """
    if len(folders) < 2:
        raise ValueError(f"{len(folders)} folders of shards, expected at least two")
    opened = [open_shards(folder) for folder in folders]
    branches = [shards.branch for shards in opened]
    if len(set(branches)) > 1:
        raise ValueError(f"folders are of the branches {branches}, expected one branch")
    united: list[JsonValue] = [
        {"sha256": shards.manifest.sha256, "train": int((shards.splits == 0).sum())}
        for shards in opened
    ]
    with ShardWriter(out, card=_card(opened), settings={UNITED: united}) as writer:
        for number, shards in enumerate(opened):
            for reason, count in shards.manifest.dropped.items():
                writer.dropped[reason] += count
            _add(writer, shards, only_training=number > 0)
    for shards in opened:
        shards.close()
    return writer


def _add(writer: ShardWriter, shards: Shards, *, only_training: bool) -> None:
    splits = shards.splits
    rows = np.flatnonzero(splits == 0) if only_training else np.arange(len(splits))
    if len(rows) < len(splits):
        writer.dropped[NOT_FOR_TRAINING] += len(splits) - len(rows)
    for start in range(0, len(rows), _READ_AT_ONCE):
        some = rows[start : start + _READ_AT_ONCE]
        for structure, split in zip(shards.read(some), splits[some], strict=True):
            writer.add(structure, split=SPLITS[split])


def training_parts(manifest: Manifest) -> tuple[int, ...]:
    """Training structures of each folder that was united, in their order; else of this one.

    Shards that were united before this was noted count as one folder.
    """
    parts = cast("list[object]", manifest.settings.get(UNITED, []))
    counts = tuple(int(part["train"]) for part in parts if isinstance(part, dict))
    return counts or (manifest.num_structures.get("train", 0),)


def _card(opened: Sequence[Shards]) -> Card:
    """The first folder's card, which says how many labels were computed, and by what."""
    first = opened[0].card
    elements = {symbol for shards in opened for symbol in shards.card.elements}
    parts = [
        f"{int((shards.splits == 0).sum())} training structures: "
        f"{shards.card.computed_by or 'published labels'}"
        for shards in opened
    ]
    is_computed = any(shards.card.computed_by for shards in opened)
    changes: dict[str, object] = {"elements": tuple(sorted(elements))}
    if is_computed:
        changes["computed_by"] = "; ".join(parts)
    return Card.model_validate(first.model_dump() | changes)

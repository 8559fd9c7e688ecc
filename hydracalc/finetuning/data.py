"""Labelled structures that a user brings: read from anything, split, counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hydracalc.errors import DataError
from hydracalc.shards.table import SPLITS
from hydracalc.structure import AtomicStructure
from hydracalc.validation.labelled_data import open_labelled


@dataclass(frozen=True, kw_only=True, eq=False)
class TuningData:
    """Structures of one branch by what they are for.

    Attributes:
        train: weights are fitted to them.
        val: weights are chosen by them.
        test: nothing is chosen by them; may be empty.
        isolated: energy of free atoms that were among the data, eV, by atomic number.
        left_out: structures that are not used, by reason.
    """

    train: list[AtomicStructure]
    val: list[AtomicStructure]
    test: list[AtomicStructure]
    isolated: dict[int, float]
    left_out: dict[str, int]


def read_labelled(path: Path | str, *, branch: str) -> list[AtomicStructure]:
    """All structures of shards or of a file that ASE reads, as if of a branch.

    Raises:
        ValueError: there is no such file, or ASE cannot read it.
        DataError: shards are damaged.
    """
    parts = {split: open_labelled(str(path), split=split) for split in SPLITS}
    is_shards = parts["train"].is_shards
    return [
        replace(structure, branch=branch, split=split if is_shards else None)
        for split, part in parts.items()
        if is_shards or split == "train"  # a file has no splits
        for _, structure in part.structures
    ]


def gather(
    data: Path | str,
    *,
    val: Path | str | None,
    test: Path | str | None,
    branch: str,
    val_fraction: float,
    seed: int,
) -> TuningData:
    """Read data and put every structure where it belongs.

    Shards keep their own split. Of a file, structures are drawn for validation at random, unless
    validation data are given.

    Args:
        data: file or shards to train on.
        val: others to validate with; None leaves it to the data.
        test: others to measure errors on; None leaves it to the data.
        branch: name that all of them get.
        val_fraction: part of a file that is drawn for validation; at least one structure.
        seed: of the drawing.

    Raises:
        ValueError: a file is missing or unreadable.
        DataError: nothing is left to train on or to validate with.
    """
    left_out: Counter[str] = Counter()
    isolated: dict[int, float] = {}
    kept = _usable(read_labelled(data, branch=branch), left_out, isolated)
    parts: dict[str, list[AtomicStructure]] = {name: [] for name in SPLITS}
    if all(structure.split is not None for structure in kept):
        for structure in kept:
            parts[str(structure.split)].append(structure)
    else:
        parts["train"] = kept
    for name, other in (("val", val), ("test", test)):
        if other is not None:
            parts[name] = _usable(read_labelled(other, branch=branch), left_out, isolated)
    if not parts["val"]:
        parts["train"], parts["val"] = drawn(parts["train"], val_fraction, seed)
    for name in ("train", "val"):
        if not parts[name]:
            raise DataError(
                f"{data}: {len(kept)} labelled structures leave none for {name}; "
                f"left out: {dict(left_out)}"
            )
    return TuningData(**parts, isolated=isolated, left_out=dict(left_out))


def _usable(
    structures: Sequence[AtomicStructure], left_out: Counter[str], isolated: dict[int, float]
) -> list[AtomicStructure]:
    """Those with an energy; free atoms are references, not structures to train on."""
    kept = []
    for structure in structures:
        if structure.energy is None:
            left_out["no energy label"] += 1
        elif structure.num_atoms == 1 and not structure.pbc.any():
            isolated[int(structure.atomic_numbers[0])] = structure.energy
        else:
            kept.append(structure)
    return kept


def drawn(
    structures: Sequence[AtomicStructure], fraction: float, seed: int
) -> tuple[list[AtomicStructure], list[AtomicStructure]]:
    """Structures without some that are drawn at random, at least one, and those."""
    count = max(1, round(fraction * len(structures)))
    order = np.random.default_rng(seed).permutation(len(structures))
    chosen = set(order[:count].tolist())
    return (
        [each for index, each in enumerate(structures) if index not in chosen],
        [each for index, each in enumerate(structures) if index in chosen],
    )

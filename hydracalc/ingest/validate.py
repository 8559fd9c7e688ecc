"""Checks that a folder of shards keeps its promises, beyond being undamaged."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hydracalc import elements
from hydracalc.fields import FIELDS
from hydracalc.shards.baseline import CompositionEnergies
from hydracalc.shards.reader import Shards, open_shards
from hydracalc.shards.table import SPLITS
from hydracalc.structure import AtomicStructure

# fits of the same numbers by another linear algebra library agree to much better than this
_REFERENCE_TOLERANCE = 1e-6


def validate(path: Path | str) -> list[str]:
    """Read every structure of a folder of shards and look for broken promises.

    Every file is hashed; every structure is built anew with all checks; no group is in two splits;
    every element has a reference; references are those of the training split; counts are those
    of the manifest.

    Returns:
        One sentence for each thing that is wrong; nothing is wrong if it is empty.

    Raises:
        ValueError: there is no such folder.
        DataError: a file is missing or damaged.
    """
    with open_shards(path) as shards:
        return list(_problems(shards))


def _problems(shards: Shards) -> Iterator[str]:
    counts: Counter[str] = Counter()
    sides: dict[str, str] = {}
    energies = CompositionEnergies()
    present = np.zeros(elements.NUM_ELEMENTS, dtype=bool)
    for structure in _structures(shards):
        split = str(structure.split)
        counts[split] += 1
        present[structure.atomic_numbers] = True
        if split == "train":
            energies.add(structure)
        if sides.setdefault(structure.group, split) != split:
            yield f"group {structure.group!r} is in {sides[structure.group]!r} and in {split!r}"
        yield from _wrong_numbers(structure)
    stated = {split: n for split, n in shards.manifest.num_structures.items() if n}
    if dict(counts) != stated:
        yield f"there are {dict(counts)} structures, the manifest states {stated}"
    yield from _wrong_elements(shards, present)
    yield from _wrong_references(shards, energies)


def _structures(shards: Shards) -> Iterator[AtomicStructure]:
    for table in shards.tables():
        strange = ~np.isin(table.splits, np.arange(len(SPLITS)))
        if strange.any():
            raise ValueError(f"split {table.splits[strange][0]} is none of 0 to {len(SPLITS) - 1}")
        for index in range(len(table)):
            yield replace(table.structure(index))  # builds it with all checks


def _wrong_numbers(structure: AtomicStructure) -> Iterator[str]:
    name = f"structure {structure.source or '(unnamed)'}"
    if structure.num_atoms == 0:
        yield f"{name} has no atoms"
    if structure.energy is None:
        yield f"{name} has no energy"
    for field in FIELDS:
        value = getattr(structure, field)
        if value is not None and not np.isfinite(value).all():
            yield f"{name}: {field} is not finite"


def _wrong_elements(shards: Shards, present: np.ndarray) -> Iterator[str]:
    missing = np.nonzero(present & ~shards.references.supported)[0]
    if len(missing):
        yield f"elements without a reference energy: {elements.symbols(missing)}"
    stated = [elements.number(symbol) for symbol in shards.card.elements]
    strange = np.setdiff1d(np.nonzero(present)[0], stated)
    if len(strange):
        yield f"elements that the card does not name: {elements.symbols(strange)}"


def _wrong_references(shards: Shards, energies: CompositionEnergies) -> Iterator[str]:
    if shards.manifest.references_from == "given":
        return
    fitted, stated = energies.fit().energies, shards.references.energies
    tolerance = {"rtol": _REFERENCE_TOLERANCE, "atol": _REFERENCE_TOLERANCE}
    if not np.allclose(fitted, stated, equal_nan=True, **tolerance):
        difference = np.nanmax(np.abs(fitted - stated), initial=0.0)
        yield f"references are not those of the training split (by up to {difference:g} eV)"

"""Test structures of shards by the published set they are from, and the error asked for on each."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydracalc.shards.manifest import Manifest
from hydracalc.shards.reader import open_shards
from hydracalc.shards.union import UNITED
from hydracalc.structure import AtomicStructure
from hydracalc.validation.labelled_data import members, read

# the published highest-stress frames of MPtrj begin at 0.509, its random ones end at 0.462
HIGHEST_STRESS = 0.485  # eV/Angstrom^3, largest component

PUBLISHED = "published"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The largest error that is good enough; None where none is asked for.

    Attributes:
        force_meV_per_A: mean absolute error of force components.
        energy_meV_per_atom: mean absolute error of the energy after the branch's references.
    """

    force_meV_per_A: float | None = None  # noqa: N815
    energy_meV_per_atom: float | None = None  # noqa: N815


@dataclass(frozen=True, kw_only=True)
class Subset:
    """A part of a dataset that was published as a set of its own.

    Attributes:
        name: for tables.
        branch: dataset.
        holds: whether a structure is in it.
        bar: error asked for.
    """

    name: str
    branch: str
    holds: Callable[[AtomicStructure], bool]
    bar: Bar


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledSet:
    """Test structures of one subset.

    Attributes:
        name: of the subset.
        branch: dataset.
        bar: error asked for.
        labels: "published", or who computed them.
        structures: with labels.
    """

    name: str
    branch: str
    bar: Bar
    labels: str
    structures: list[AtomicStructure]


def _is_strained(structure: AtomicStructure) -> bool:
    return structure.stress is not None and bool(np.abs(structure.stress).max() > HIGHEST_STRESS)


def _named(prefix: str) -> Callable[[AtomicStructure], bool]:
    """Whether a structure's source begins so."""
    return lambda structure: structure.source.startswith(prefix)


SUBSETS = (
    Subset(
        name="MPtrj random frames",
        branch="mptrj",
        holds=lambda structure: not _is_strained(structure),
        bar=Bar(force_meV_per_A=75, energy_meV_per_atom=30),
    ),
    Subset(
        name="MPtrj highest stress",
        branch="mptrj",
        holds=_is_strained,
        bar=Bar(force_meV_per_A=238),
    ),
    Subset(
        name="Alexandria",
        branch="alexandria",
        holds=lambda _: True,
        bar=Bar(force_meV_per_A=55, energy_meV_per_atom=60),
    ),
    Subset(
        name="MatterSim mpf-TP",
        branch="mattersim",
        holds=_named("mpf-TP-"),
        bar=Bar(force_meV_per_A=400),
    ),
    Subset(
        name="MatterSim mpf-alkali-TP",
        branch="mattersim",
        holds=_named("mpf-alkali-TP-"),
        bar=Bar(),
    ),
    Subset(
        name="MatterSim random-TP",
        branch="mattersim",
        holds=_named("random-TP-"),
        bar=Bar(force_meV_per_A=450),
    ),
    Subset(name="ANI-1x", branch="ani1x", holds=lambda _: True, bar=Bar(force_meV_per_A=80)),
    Subset(name="Transition1x", branch="transition1x", holds=lambda _: True, bar=Bar()),
    Subset(name="rMD17", branch="rmd17", holds=lambda _: True, bar=Bar()),
)


def gather(
    folders: Sequence[Path], *, split: str = "test"
) -> tuple[list[LabelledSet], Counter[str]]:
    """Labelled sets of shards, in the order of `SUBSETS`; other datasets are sets as they are.

    Args:
        folders: of shards.
        split: whose structures.

    Returns:
        the sets, and how many structures were left out for which reason.

    Raises:
        DataError: shards are damaged.
    """
    sets: list[LabelledSet] = []
    left_out: Counter[str] = Counter()
    for folder in folders:
        with open_shards(folder) as shards:
            labels = origin(shards.manifest)
            structures = [each for _, each in read(shards, members(shards, split))]
            sets += _divided(shards.branch, structures, labels, left_out)
    order = [subset.name for subset in SUBSETS]
    known = [each for each in sets if each.name in order]
    others = [each for each in sets if each.name not in order]
    return sorted(known, key=lambda each: order.index(each.name)) + others, left_out


def _divided(
    branch: str, structures: list[AtomicStructure], labels: str, left_out: Counter[str]
) -> list[LabelledSet]:
    """The structures of one dataset by subset; sets without any are left away."""
    parts = [s for s in SUBSETS if s.branch == branch] or [
        Subset(name=branch, branch=branch, holds=lambda _: True, bar=Bar())
    ]
    found: dict[str, list[AtomicStructure]] = {part.name: [] for part in parts}
    for structure in structures:
        home = next((part.name for part in parts if part.holds(structure)), None)
        if home is None:
            left_out[f"{branch}: of none of {', '.join(found)}"] += 1
        else:
            found[home].append(structure)
    return [
        LabelledSet(
            name=part.name, branch=branch, bar=part.bar, labels=labels, structures=found[part.name]
        )
        for part in parts
        if found[part.name]
    ]


def origin(manifest: Manifest) -> str:
    """Whose the test labels of shards are: "published", or who computed them.

    Of united folders validation and test structures are those of the first, whose labels the
    first part of `computed_by` is about.
    """
    computed = manifest.card.computed_by
    if computed is None:
        return PUBLISHED
    if UNITED not in manifest.settings:
        return computed
    first = computed.split(";")[0].partition(": ")[2]
    return PUBLISHED if first == "published labels" else first

"""What structures of a dataset have, found without making or keeping any of them."""

from dataclasses import dataclass

import numpy as np

from hydracalc.shards.reader import Shards
from hydracalc.shards.table import SPLIT, SPLITS
from hydracalc.store.filling import together
from hydracalc.store.places import Place

_CHARGE, _SPIN, _STRESS = "total_charge", "spin_multiplicity", "stress"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Of the structures of one split.

    Attributes:
        charges: total charges among them, ascending, e.
        spin_multiplicities: among them, ascending.
        has_stress: whether any of them is labelled with stress.
    """

    charges: tuple[int, ...]
    spin_multiplicities: tuple[int, ...]
    has_stress: bool


def contents_of(shards: Shards, place: Place | None = None) -> dict[str, Contents]:
    """What the structures of each split have. Collective over the place's ranks.

    Args:
        shards: open.
        place: ranks that read a part of the shards each; None is this process alone.

    Raises:
        DataError: a shard cannot be read, on this rank or another.
    """
    place = place or Place()
    found: list[tuple[str, set[int], set[int], bool]] = []

    def read() -> None:
        for number in range(place.rank, len(shards.manifest.shards), place.size):
            columns = shards.columns(number, (SPLIT, _CHARGE, _SPIN, _STRESS))
            labelled = ~np.isnan(columns[_STRESS][:, 0, 0])
            for index, split in enumerate(SPLITS):
                rows = columns[SPLIT] == index
                charges, spins = (set(columns[name][rows].tolist()) for name in (_CHARGE, _SPIN))
                found.append((split, charges, spins, bool(labelled[rows].any())))

    together(place, read)
    everything = [part for parts in place.all_of(found) for part in parts]
    return {
        split: _joined([part[1:] for part in everything if part[0] == split]) for split in SPLITS
    }


def _joined(parts: list[tuple[set[int], set[int], bool]]) -> Contents:
    return Contents(
        charges=tuple(sorted(set().union(*(charges for charges, _, _ in parts)))),
        spin_multiplicities=tuple(sorted(set().union(*(spins for _, spins, _ in parts)))),
        has_stress=any(has_stress for _, _, has_stress in parts),
    )

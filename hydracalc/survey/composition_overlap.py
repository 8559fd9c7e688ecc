"""How many compositions datasets have in common, in memory that grows with compositions alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hydracalc.shards.reader import Shards
from hydracalc.survey.compositions import distinct_compositions


@dataclass(frozen=True, kw_only=True, eq=False)
class CompositionCounts:
    """Compositions of a dataset and how many structures have each, ascending by hash.

    Attributes:
        formulas: hash of every formula, uint64, (K,).
        reduced: hash of every reduced formula, uint64, (L,).
        reduced_counts: structures of each reduced formula, int64, (L,).
    """

    formulas: np.ndarray
    reduced: np.ndarray
    reduced_counts: np.ndarray


def count_compositions(shards: Shards) -> CompositionCounts:
    """Compositions of a folder of shards, one shard in memory at a time."""
    formulas = reduced = np.empty(0, dtype=np.uint64)
    counts = np.empty(0, dtype=np.int64)
    for table in shards.tables():
        found = distinct_compositions(table)
        formulas = np.union1d(formulas, found.hashes)
        hashes = np.concatenate([reduced, found.reduced_hashes])
        numbers = np.concatenate([counts, np.bincount(found.index)])
        reduced, index = np.unique(hashes, return_inverse=True)
        counts = np.bincount(index, numbers).astype(np.int64)
    return CompositionCounts(formulas=formulas, reduced=reduced, reduced_counts=counts)


def overlap(counted: Mapping[str, CompositionCounts]) -> dict[str, object]:
    """What datasets share, in matrices of which row and column are datasets.

    Args:
        counted: compositions by the name of the dataset.

    Returns:
        JSON: the names; formulas and reduced formulas in common; and which share of the row's
        structures has a reduced formula that occurs in the column's dataset.
    """
    sets = list(counted.values())
    return {
        "names": list(counted),
        "formulas": [[_num_common(a.formulas, b.formulas) for b in sets] for a in sets],
        "reduced_formulas": [[_num_common(a.reduced, b.reduced) for b in sets] for a in sets],
        "share_of_structures": [[_share(a, b) for b in sets] for a in sets],
    }


def _num_common(one: np.ndarray, other: np.ndarray) -> int:
    return len(np.intersect1d(one, other, assume_unique=True))


def _share(one: CompositionCounts, other: CompositionCounts) -> float:
    occurs = np.isin(one.reduced, other.reduced, assume_unique=True)
    return float(one.reduced_counts[occurs].sum() / one.reduced_counts.sum())

"""Compositions of the structures of a table, each once."""

from dataclasses import dataclass

import numpy as np

from hydracalc import elements
from hydracalc.shards.table import OFFSETS, StructureTable

# a composition's hash is the sum over its atoms of their element's number here, modulo 2^64: two
# different ones are taken for equal once in some 10^18 pairs
_WEIGHTS = np.random.default_rng(0).integers(
    0, 2**64, elements.NUM_ELEMENTS, dtype=np.uint64, endpoint=False
)


@dataclass(frozen=True, kw_only=True, eq=False)
class DistinctCompositions:
    """Compositions that occur in a table, ascending by hash.

    Attributes:
        hashes: of the formula, uint64, (K,).
        reduced_hashes: of the reduced formula, uint64, (K,).
        counts: atoms of each element, int32, (K, 119).
        index: which of them each structure has, int64, (S,).
    """

    hashes: np.ndarray
    reduced_hashes: np.ndarray
    counts: np.ndarray
    index: np.ndarray


def distinct_compositions(table: StructureTable) -> DistinctCompositions:
    """Compositions of a table's structures.

    Args:
        table: at least one structure, each with at least one atom.
    """
    per_atom = _WEIGHTS[table.arrays["atomic_numbers"]]
    of_structures = np.add.reduceat(per_atom, table.arrays[OFFSETS][:-1])
    hashes, first, index = np.unique(of_structures, return_index=True, return_inverse=True)
    chosen = np.zeros(len(table), dtype=bool)
    chosen[first] = True
    by_hash = np.argsort(np.argsort(first))  # rows of a table stay in its order
    counts = _counts(table.rows(chosen))[by_hash]
    divisors = np.gcd.reduce(counts, axis=1)
    return DistinctCompositions(
        hashes=hashes,
        reduced_hashes=(counts // divisors[:, None]).astype(np.uint64) @ _WEIGHTS,
        counts=counts,
        index=index,
    )


def _counts(table: StructureTable) -> np.ndarray:
    """Atoms of each element in each structure, int32, (S, 119)."""
    owners = np.repeat(np.arange(len(table)), table.num_atoms)
    places = owners * elements.NUM_ELEMENTS + table.arrays["atomic_numbers"]
    counts = np.bincount(places, minlength=len(table) * elements.NUM_ELEMENTS)
    return counts.reshape(len(table), -1).astype(np.int32)

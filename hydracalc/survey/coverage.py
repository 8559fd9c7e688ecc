"""Which reference energies the compositions of a training split determine."""

from dataclasses import dataclass

import numpy as np

from hydracalc import elements
from hydracalc.references import RCOND
from hydracalc.shards.table import SPLITS, StructureTable
from hydracalc.survey.compositions import distinct_compositions

_NEGLIGIBLE = 1e-6  # share of an element in what is not determined


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What the least-squares problem of the references is like.

    Attributes:
        num_elements: unknowns.
        rank: combinations of references that are determined.
        condition: largest over smallest singular value that counts.
        not_determined: elements whose own reference is arbitrary.
        free_combinations: what can be added to the references without a change of any baseline,
            one for each missing rank: weights by symbol.
    """

    num_elements: int
    rank: int
    condition: float
    not_determined: tuple[str, ...]
    free_combinations: tuple[dict[str, float], ...]

    def to_json(self) -> dict[str, object]:
        """Everything by name."""
        return {
            "num_elements": self.num_elements,
            "rank": self.rank,
            "condition": self.condition,
            "not_determined": list(self.not_determined),
            "free_combinations": [dict(weights) for weights in self.free_combinations],
        }


class CompositionMatrix:
    """Atomic fractions of all labelled training structures, folded up to a triangle.

    The singular values of the triangle are those of the matrix, so memory is that of 119 x 119
    numbers for any number of structures.
    """

    def __init__(self) -> None:
        self._triangle = np.zeros((0, elements.NUM_ELEMENTS))

    def add(self, table: StructureTable) -> None:
        """Take the labelled training structures of a table."""
        keep = (table.splits == SPLITS.index("train")) & np.isfinite(table.arrays["energy"])
        if not keep.any():
            return
        found = distinct_compositions(table.rows(keep))
        # equal rows are one row times the root of their number
        weights = np.sqrt(np.bincount(found.index)) / found.counts.sum(axis=1)
        stacked = np.concatenate([self._triangle, found.counts * weights[:, None]])
        self._triangle = np.asarray(np.linalg.qr(stacked, mode="r"))

    def coverage(self) -> Coverage | None:
        """Rank, condition and null space; None without a labelled training structure."""
        present = np.flatnonzero(self._triangle.any(axis=0))
        if not len(present):
            return None
        _, values, directions = np.linalg.svd(self._triangle[:, present])
        rank = int((values > RCOND * values[0]).sum())
        null = _readable(directions[rank:])
        free = (np.abs(null) > _NEGLIGIBLE).any(axis=0)
        symbols = [elements.symbol(int(z)) for z in present]
        return Coverage(
            num_elements=len(present),
            rank=rank,
            condition=float(values[0] / values[rank - 1]),
            not_determined=tuple(s for s, is_free in zip(symbols, free, strict=True) if is_free),
            free_combinations=tuple(
                {s: float(w) for s, w in zip(symbols, row, strict=True) if abs(w) > _NEGLIGIBLE}
                for row in null
            ),
        )


def _readable(null: np.ndarray) -> np.ndarray:
    """The same null space by rows that have as few elements as elimination gives.

    Args:
        null: orthonormal rows, (K, elements).

    Returns:
        (K, elements); the first of each row's elements has weight 1 and is in no other row.
    """
    rows = null.copy()
    for row in range(len(rows)):
        pivot = int(np.argmax(np.abs(rows[row])))
        rows[row] /= rows[row, pivot]
        for other in range(len(rows)):
            if other != row:
                rows[other] -= rows[other, pivot] * rows[row]
    return rows

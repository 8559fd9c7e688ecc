"""Labels against predictions in bounded memory: points while they are few, counts in cells then."""

from dataclasses import dataclass

import numpy as np

_FEW = 2000  # points that are kept as they are
_CELLS = 512  # along each side
_NARROWEST = 1e-6  # range of labels, in their unit


@dataclass(frozen=True, kw_only=True, eq=False)
class ParityCells:
    """Where labels and predictions fall.

    Attributes:
        labels, predictions: of a point, or of the middle of a cell, (n,).
        counts: points there, int64, (n,).
        width: of a cell; 0 where these are the points themselves.
    """

    labels: np.ndarray
    predictions: np.ndarray
    counts: np.ndarray
    width: float


class ParityGrid:
    """Counts of pairs in square cells over a range that doubles when labels leave it.

    Doubling joins four cells to one, so counts stay exact. The range follows the labels alone: a
    prediction far outside, as of a model at its wits' end, is counted and does not coarsen the
    rest.

    Attributes:
        num_points: pairs seen.
        num_outside: of those, predictions outside of the range.
    """

    def __init__(self) -> None:
        self.num_points = self.num_outside = 0
        self._waiting: list[np.ndarray] = []
        self._counts: np.ndarray | None = None
        self._low, self._width = 0.0, 0.0

    def add(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Take pairs; those without a label are passed over.

        Args:
            labels: of any shape.
            predictions: of the same shape.
        """
        known = np.isfinite(labels)
        pairs = np.stack([labels[known], predictions[known]])
        self.num_points += pairs.shape[1]
        if self._counts is not None:
            self._count(pairs)
        elif pairs.shape[1]:
            self._waiting.append(pairs)
            if self.num_points > _FEW:
                self._begin()

    def cells(self) -> ParityCells:
        """What there is to draw."""
        if self._counts is None:
            labels, predictions = np.concatenate([np.empty((2, 0)), *self._waiting], axis=1)
            ones = np.ones(len(labels), dtype=np.int64)
            return ParityCells(labels=labels, predictions=predictions, counts=ones, width=0.0)
        rows, columns = np.nonzero(self._counts)
        width = self._width / _CELLS
        return ParityCells(
            labels=self._low + (rows + 0.5) * width,
            predictions=self._low + (columns + 0.5) * width,
            counts=self._counts[rows, columns],
            width=width,
        )

    def _begin(self) -> None:
        pairs = np.concatenate(self._waiting, axis=1)
        self._waiting = []
        lowest, highest = pairs[0].min(), pairs[0].max()
        self._width = 2 * max(highest - lowest, _NARROWEST)
        self._low = (lowest + highest) / 2 - self._width / 2
        self._counts = np.zeros((_CELLS, _CELLS), dtype=np.int64)
        self._count(pairs)

    def _count(self, pairs: np.ndarray) -> None:
        assert self._counts is not None
        if not pairs.shape[1]:
            return
        lowest, highest = pairs[0].min(), pairs[0].max()
        while lowest < self._low or highest >= self._low + self._width:
            self._double(downward=lowest < self._low)
        places = np.floor((pairs - self._low) * (_CELLS / self._width))
        inside = (places[1] >= 0) & (places[1] < _CELLS)
        self.num_outside += int((~inside).sum())
        rows, columns = np.minimum(places[:, inside], _CELLS - 1).astype(np.int64)
        np.add.at(self._counts, (rows, columns), 1)

    def _double(self, *, downward: bool) -> None:
        assert self._counts is not None
        half = _CELLS // 2
        joined = self._counts.reshape(half, 2, half, 2).sum(axis=(1, 3))
        start = half if downward else 0
        self._counts = np.zeros_like(self._counts)
        self._counts[start : start + half, start : start + half] = joined
        self._low -= self._width if downward else 0.0
        self._width *= 2

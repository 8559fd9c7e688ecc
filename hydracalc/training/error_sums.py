"""Errors added up in groups and divided once, at the end: the one place where this is done."""

from collections.abc import Sequence

import torch
from torch import Tensor

_ROWS = 4  # error, |error|, error^2, labels


class ErrorSums:
    """Sums of errors, of their sizes and squares, and the number of labels, in each of G groups.

    A group is a branch, an element, a range of sizes: whatever errors are told by.

    Attributes:
        sums: error, |error|, error^2 and labels, float64, (4, G).

    Args:
        num_groups: G.
    """

    def __init__(self, num_groups: int = 1) -> None:
        self.sums = torch.zeros((_ROWS, num_groups), dtype=torch.float64)

    def add(self, predicted: Tensor, label: Tensor, group: Tensor) -> None:
        """Count some labels in; those that are not finite stand for absent ones.

        Args:
            predicted: float64, (n, k).
            label: float64, (n, k).
            group: of each row, int64, (n,).
        """
        known = torch.isfinite(label)
        errors = torch.where(known, predicted - label, 0.0)
        parts = (errors, errors.abs(), errors.square(), known.to(errors.dtype))
        rows = torch.stack([part.sum(1) for part in parts])  # (4, n)
        sums = rows.new_zeros(self.sums.shape).index_add(1, group, rows)
        self.sums = self.sums.to(sums.device) + sums

    def absorb(self, other: "ErrorSums", places: Sequence[int]) -> None:
        """Count in what another has counted; `places` are our groups for each of its groups."""
        whole = other.sums.new_zeros(self.sums.shape)
        whole[:, list(places)] = other.sums
        self.sums = self.sums.to(whole.device) + whole

    @property
    def count(self) -> Tensor:
        """Labels of each group, float64, (G,)."""
        return self.sums[3]

    @property
    def bias(self) -> Tensor:
        """Mean error of each group, (G,); NaN of nothing."""
        return self.sums[0] / self.count

    @property
    def mae(self) -> Tensor:
        """Mean absolute error of each group, (G,); NaN of nothing."""
        return self.sums[1] / self.count

    @property
    def rmse(self) -> Tensor:
        """Root of the mean squared error of each group, (G,); NaN of nothing."""
        return (self.sums[2] / self.count).sqrt()

"""Every branch against every dataset: which knowledge carries over to which labels.

Rows are the branches of a multi-task model and models that were trained on one dataset alone,
columns are datasets. Next check 1 of 2506.21788.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hydracalc.models.hydra import HydraModel
from hydracalc.shards.reader import Shards, open_shards
from hydracalc.validation.negative_transfer import Comparison, compare
from hydracalc.validation.transfer_errors import TransferErrors, transfer_errors

QUANTITIES = {"force": "force_mae_eV_per_A", "energy": "energy_mae_eV_per_atom"}


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """What is measured.

    Attributes:
        split: of the datasets that errors are told on.
        num_fit: structures of the training split that the shift of references is fitted on.
    """

    split: str = "test"
    num_fit: int = 500

    def __post_init__(self) -> None:
        if self.num_fit < 1:
            raise ValueError(f"num_fit is {self.num_fit}, expected at least 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One who answers.

    Attributes:
        name: in tables.
        model: in evaluation mode.
        branch: of the model.
        is_single: it was trained on one dataset alone.
    """

    name: str
    model: HydraModel
    branch: str
    is_single: bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """One dataset.

    Attributes:
        name: of its branch, or the folder where two are of one branch.
        path: folder of its shards.
        branch: that its labels are of.
        num_structures: in the split.
    """

    name: str
    path: str
    branch: str
    num_structures: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferMatrix:
    """Errors of rows on columns.

    Attributes:
        rows: who answers.
        columns: datasets.
        cells: errors by row and column, as many lists as rows.
        notes: how single-task models were trained otherwise than the run, by dataset.
        config: what was measured.
    """

    rows: Sequence[Row]
    columns: Sequence[Column]
    cells: Sequence[Sequence[TransferErrors]]
    config: TransferConfig
    notes: Mapping[str, str] = field(default_factory=dict)

    def values(self, quantity: str) -> np.ndarray:
        """Mean absolute errors of "force" or "energy", rows by columns; NaN where there is none."""
        key = QUANTITIES[quantity]
        return np.array([[cell.mae().get(key, np.nan) for cell in line] for line in self.cells])

    def coverage(self) -> np.ndarray:
        """Share of a column's structures that a row answers for, rows by columns."""
        counts = np.array([[len(cell.indices) for cell in line] for line in self.cells])
        return counts / np.maximum([column.num_structures for column in self.columns], 1)

    def is_own(self, row: int, column: int) -> bool:
        """Whether a branch was trained on labels of the dataset."""
        return self.rows[row].branch == self.columns[column].branch

    def comparisons(self) -> dict[str, list[Comparison]]:
        """Own branch against single-task model, by dataset, where there are both."""
        found = {}
        for c, column in enumerate(self.columns):
            own = [r for r in range(len(self.rows)) if self.is_own(r, c)]
            multi = [r for r in own if not self.rows[r].is_single]
            single = [r for r in own if self.rows[r].is_single]
            if multi and single:
                found[column.name] = compare(self.cells[multi[0]][c], self.cells[single[0]][c])
        return found

    def to_json(self) -> dict[str, Any]:
        """All numbers with their unit in the key."""
        return {
            "split": self.config.split,
            "rows": [
                {"name": row.name, "branch": row.branch, "single_task": row.is_single}
                for row in self.rows
            ],
            "columns": [vars(column) for column in self.columns],
            "cells": [
                {
                    "row": row.name,
                    "column": column.name,
                    "own": self.is_own(r, c),
                    "num_structures": len(self.cells[r][c].indices),
                    "num_atoms": self.cells[r][c].num_atoms,
                    "num_fitted": self.cells[r][c].num_fitted,
                    **self.cells[r][c].mae(),
                    "left_out": dict(self.cells[r][c].left_out),
                }
                for r, row in enumerate(self.rows)
                for c, column in enumerate(self.columns)
            ],
            "negative_transfer": [
                {
                    "dataset": name,
                    "quantity": each.quantity,
                    "multi_task_mae": each.multi,
                    "single_task_mae": each.single,
                    "ratio": each.ratio,
                    "interval": None if np.isnan(each.low) else [each.low, each.high],
                    "num_structures": each.num_structures,
                    "num_groups": each.num_groups,
                    "verdict": each.verdict,
                    "trained_otherwise": self.notes.get(name, ""),
                }
                for name, comparisons in self.comparisons().items()
                for each in comparisons
            ],
        }


def measure_transfer(
    rows: Sequence[Row],
    folders: Sequence[Path],
    *,
    config: TransferConfig,
    notes: Mapping[str, str] | None = None,
) -> TransferMatrix:
    """Evaluate every row on every dataset.

    Args:
        rows: who answers, at least one.
        folders: of shards.
        config: what is measured.
        notes: how single-task models were trained otherwise, by dataset.

    Raises:
        ValueError: a folder is given twice, or has no structure in the split.
        DataError: shards are damaged.
    """
    columns, cells = [], []
    opened = [open_shards(folder) for folder in folders]
    names = _names(opened)
    for name, shards in zip(names, opened, strict=True):
        count = shards.manifest.num_structures.get(config.split, 0)
        if not count:
            raise ValueError(f"{shards.path} has no structure in the split {config.split!r}")
        columns.append(
            Column(name=name, path=str(shards.path), branch=shards.branch, num_structures=count)
        )
        with shards:
            cells.append([_cell(row, shards, config) for row in rows])
    by_row = list(zip(*cells, strict=True))
    return TransferMatrix(
        rows=rows, columns=columns, cells=by_row, config=config, notes=notes or {}
    )


def _cell(row: Row, shards: Shards, config: TransferConfig) -> TransferErrors:
    return transfer_errors(
        row.model, row.branch, shards, split=config.split, num_fit=config.num_fit
    )


def _names(opened: Sequence[Shards]) -> list[str]:
    """A name for each dataset: its branch, or its folder where two are of one branch.

    Raises:
        ValueError: a folder is given twice.
    """
    branches = [shards.branch for shards in opened]
    names = [
        shards.branch if branches.count(shards.branch) == 1 else str(shards.path)
        for shards in opened
    ]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice")
    return names

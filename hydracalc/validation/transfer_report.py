"""The transfer matrix as lines of text and as a page."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hydracalc.validation.evaluation_table import MEV
from hydracalc.validation.heat_map import heat_map, ratio_figure
from hydracalc.validation.negative_transfer import FEWEST_GROUPS, Comparison
from hydracalc.validation.page import Page
from hydracalc.validation.pictures import as_png, short
from hydracalc.validation.transfer_matrix import TransferMatrix

ABOUT_MATRIX = (
    "A row answers, a column is a dataset's {split} split. Framed cells are of the dataset that "
    "the row was trained on, bold is the best of a column, the shade the multiple of that. Below a "
    "number is the share of structures whose elements the row knows, where that is not all: such "
    "rows answer for other structures, so the best is among those that answer for most."
)
ABOUT_ENERGIES = (
    "Energies of two levels of theory differ by an amount per element. So for every cell, the "
    "least-squares difference of reference energies between labels and predictions is fitted on "
    "up to {num_fit} structures of the dataset's training split and added, for the diagonal, too; "
    "what is told is the error per atom on the {split} split after that."
)
ABOUT_RATIOS = (
    "The multi-task model's own branch against the model that was trained on the dataset alone, on "
    "the same structures, energies as predicted (both have the dataset's own zero). Intervals are "
    "95 percent of a bootstrap over groups of alike structures; a verdict needs an interval that "
    f"leaves 1 out, and at least {FEWEST_GROUPS} groups."
)


def matrix_rows(matrix: TransferMatrix, quantity: str) -> list[tuple[str, ...]]:
    """A table of errors, meV/Angstrom or meV/atom: the name of each row, then its numbers."""
    values = matrix.values(quantity) / MEV
    return [
        (row.name, *(short(v) if np.isfinite(v) else "–" for v in values[r]))
        for r, row in enumerate(matrix.rows)
    ]


def verdict_rows(matrix: TransferMatrix) -> list[tuple[str, ...]]:
    """A table of comparisons: dataset, quantity, both errors, ratio, interval, groups, verdict."""
    return [
        _verdict_row(name, each) for name, found in matrix.comparisons().items() for each in found
    ]


VERDICT_COLUMNS = ("dataset", "quantity", "multi", "single", "ratio", "95 %", "groups", "verdict")


def _verdict_row(name: str, each: Comparison) -> tuple[str, ...]:
    interval = "too few groups" if np.isnan(each.low) else f"{each.low:.3f} to {each.high:.3f}"
    errors = (f"{value / MEV:.4g}" for value in (each.multi, each.single))
    return (
        name, each.quantity, *errors, f"{each.ratio:.3f}", interval,
        str(each.num_groups), each.verdict,
    )  # fmt: skip


def left_out_rows(matrix: TransferMatrix) -> Iterator[tuple[str, str, str, str]]:
    """Row, column, reason and number of structures that were not compared."""
    for row, line in zip(matrix.rows, matrix.cells, strict=True):
        for column, cell in zip(matrix.columns, line, strict=True):
            for reason, count in _few(cell.left_out.most_common()):
                yield row.name, column.name, reason, f"{count:,}"


def _few(reasons: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The commonest reasons, and all others as one."""
    rest = sum(count for _, count in reasons[3:])
    return reasons[:3] + ([("other elements unknown, see JSON", rest)] if rest else [])


def write_transfer_page(matrix: TransferMatrix, path: Path, *, model: str) -> None:
    """Write the page.

    Args:
        matrix: of `measure_transfer`.
        path: .html.
        model: full name of the multi-task model.
    """
    told = {"split": matrix.config.split, "num_fit": matrix.config.num_fit}
    names = [column.name for column in matrix.columns]
    page = Page("Transfer between datasets", model)
    page.section("Every branch against every dataset")
    page.picture(as_png(heat_map(matrix)), "errors of every branch on every dataset")
    page.text(ABOUT_MATRIX.format(**told))
    page.text(ABOUT_ENERGIES.format(**told))
    for quantity, title in (("force", "Force MAE, meV/Å"), ("energy", "Energy MAE, meV/atom")):
        page.heading(title)
        page.table(("", *names), matrix_rows(matrix, quantity))
    page.section("Did training together help?")
    comparisons = matrix.comparisons()
    if comparisons:
        page.picture(as_png(ratio_figure(comparisons)), "ratios of errors with intervals")
        page.table(VERDICT_COLUMNS, verdict_rows(matrix), num_names=2)
        page.text("Errors in meV/Å and meV/atom. " + ABOUT_RATIOS)
        for name, note in matrix.notes.items():
            page.text(f"{name}: the single-task model was trained otherwise: {note}")
    else:
        page.text("No single-task models were given, so there is nothing to hold against.")
    page.section("Not compared")
    page.table(("row", "dataset", "reason", "structures"), left_out_rows(matrix), num_names=3)
    page.write(path)

"""Datasets published as folders of *.aselmdb files: what they share in reading a row."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hydracalc.elements import formula, reduced_formula
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.folders import place, published_split, refuse_nested, sided
from hydracalc.readers.aselmdb import Row, array, row_parts, rows_of
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

UNLABELLED = "no energy or no forces"


class RowAdapter(Adapter):
    """Reader of *.aselmdb files, whose published split is the name of a folder.

    Publishers deal structures to train and val, not materials or trajectories, so a group may be
    in both. Where a file has a published split, the group is named after that side too: the split
    is kept, and its errors are those of interpolation. Files outside such folders are split by
    whole groups.

    Attributes:
        folders: name or glob of a folder to the split it holds.
    """

    patterns = ("**/*.aselmdb",)
    folders: ClassVar[Mapping[str, str]] = {"train": "train", "val": "val"}

    def parts(self, raw: Path) -> list[Part]:
        """Ranges of rows."""
        return row_parts(self.files(raw))

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every row that has energy and forces, and is of this dataset."""
        split, where = published_split(part.path, self.folders), place(part.path, self.folders)
        for number, row in rows_of(part):
            with reading(part.path, f"row {number}"):
                reason = self.reason_to_drop(row)
                if reason is not None:
                    self.dropped[reason] += 1
                    continue
                structure = AtomicStructure(
                    **self.labelled(row),
                    group=sided(self.group(row), split),
                    split=split,
                    source=self.source(row, f"{where}/{number}"),
                )
                yield self.converted(structure)

    def reason_to_drop(self, row: Row) -> str | None:
        """Why a row is not read; None if it is."""
        return UNLABELLED if row.get("energy") is None or row.get("forces") is None else None

    def group(self, row: Row) -> str:
        """What must not be on both sides of a split; composition in lowest terms by default."""
        return reduced_formula(numbers_of(row))

    def source(self, row: Row, where: str) -> str:  # noqa: ARG002 -- for those that override it
        """Name of a structure in its dataset; file and row by default."""
        return where

    def labelled(self, row: Row) -> dict[str, Any]:
        """Atoms, cell and labels of a row, as published."""
        labels: dict[str, Any] = {"energy": row["energy"], "forces": array(row["forces"])}
        if self.card.labels.stress is not None and row.get("stress") is not None:
            stress = array(row["stress"])
            labels["stress"] = stress if stress.shape == (3, 3) else self.stress_matrix(stress)
        return labels | {
            "atomic_numbers": numbers_of(row),
            "positions": array(row["positions"]),
            "cell": array(row["cell"]),
            "pbc": np.asarray(array(row["pbc"]), dtype=bool),
        }


class OmolAdapter(RowAdapter):
    """Reader of OMol25 and of what is published in its form: molecules with charge and spin.

    `data` holds the total charge and, under "spin", the multiplicity 2S + 1; its "source" names the
    calculation. The group is the formula: all isomers, conformations and charges of it.
    """

    folders: ClassVar[Mapping[str, str]] = {
        "train": "train",
        "train_4M": "train",
        "neutral_train": "train",
        "val": "val",
        "neutral_val": "val",
    }

    def files(self, raw: Path) -> list[Path]:
        """The databases.

        Raises:
            ValueError: there is none, or there are training sets that contain each other.
        """
        files = super().files(raw)
        refuse_nested(files, ("train", "train_4M", "neutral_train"))
        return files

    def group(self, row: Row) -> str:
        """Formula."""
        return formula(numbers_of(row))

    def source(self, row: Row, where: str) -> str:
        """The publishers' own name of the calculation, where the row has it."""
        return str(row["data"].get("source") or where)

    def labelled(self, row: Row) -> dict[str, Any]:
        """Atoms and labels with total charge and multiplicity."""
        charge, spin = row["data"]["charge"], row["data"]["spin"]
        return super().labelled(row) | {
            "total_charge": _whole(charge, "charge"),
            "spin_multiplicity": _whole(spin, "spin"),
        }


def numbers_of(row: Row) -> np.ndarray:
    """Atomic numbers of a row, int64, (N,).

    Raises:
        KeyError: the row has none.
        ValueError: they are no whole numbers.
    """
    numbers = array(row["numbers"])
    if numbers.dtype.kind != "i":
        raise ValueError(f"numbers are {numbers.dtype}, expected whole numbers")
    return numbers.astype(np.int64)


def _whole(value: Any, name: str) -> int:  # noqa: ANN401 -- whatever the JSON holds
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(f"{name} is {value!r}, expected a whole number")
    return int(value)

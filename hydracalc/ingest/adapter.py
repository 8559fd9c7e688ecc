"""What every dataset implements: read its published files, hand out structures in our units."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from hydracalc import units
from hydracalc.card import Card
from hydracalc.ingest.conformers import Conformers
from hydracalc.readers.parts import Part
from hydracalc.shards.table import StructureTable, from_structures, published_split
from hydracalc.structure import AtomicStructure

COMPUTED_BY = "COMPUTED_BY.txt"

_TABLE_STRUCTURES = 1000  # structures handed on together


class Adapter(ABC):
    """Reader of one dataset as it was published.

    A subclass in `datasets/<id>/adapter.py` writes `structures`. It builds structures with the
    numbers of the files and passes each through `converted`. One whose files hold many
    conformations in an array is a `ConformerAdapter` instead, which is much faster.

    Attributes:
        patterns: names or globs of the files below a raw folder; empty means those of the card.
        card: what is stated about the dataset.
        folder: where the adapter was loaded from, so that other processes can; None where it was
            made by hand.
        dropped: records that were left out, counted by reason; grows while it reads.
    """

    patterns: ClassVar[tuple[str, ...]] = ()

    def __init__(self, card: Card) -> None:
        self.card = card
        self.folder: Path | None = None
        self.dropped: Counter[str] = Counter()

    def read(self, raw: Path) -> Iterator[AtomicStructure]:
        """Every labelled structure, one at a time, in bounded memory.

        Args:
            raw: a published file, or a folder that holds the published files.

        Raises:
            ValueError: the folder holds none of the expected files.
            DataError: a file is damaged or not in the published layout.
        """
        for part in self.parts(Path(raw)):
            yield from self.structures(part)

    def parts(self, raw: Path) -> list[Part]:
        """Pieces to be read one after another, or side by side; each file is one.

        They depend on the files alone, so shards are the same for any number of processes.

        Raises:
            ValueError: the folder holds none of the expected files.
            DataError: a file is damaged or not in the published layout.
        """
        return [Part(path=path) for path in self.files(raw)]

    @abstractmethod
    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every labelled structure of a part.

        Raises:
            DataError: a file is damaged or not in the published layout.
        """

    def tables(self, part: Part) -> Iterator[StructureTable]:
        """The same structures, many at a time; a split that is not published is -1."""
        structures = self.structures(part)
        while block := list(islice(structures, _TABLE_STRUCTURES)):
            splits = [published_split(structure) for structure in block]
            yield from_structures(self.card.branch, block, splits)

    def files(self, raw: Path) -> list[Path]:
        """The published files of `raw`, in the order of `patterns`, then by name.

        Raises:
            ValueError: `raw` does not exist or has none of the files; the message names them.
        """
        return find_files(raw, self.patterns or [file.name for file in self.card.files])

    def card_of(self, raw: Path) -> Card:
        """The card of what is in a raw folder.

        It is the dataset's own, except where the folder holds labels that were computed instead of
        the published ones: a file COMPUTED_BY.txt says by what, and the card then does too.
        """
        marker = Path(raw) / COMPUTED_BY
        if not marker.is_file():
            return self.card
        return self.card.model_copy(update={"computed_by": " ".join(marker.read_text().split())})

    def converted(self, published: AtomicStructure) -> AtomicStructure:
        """A structure whose numbers are as published, in hydracalc's units and sign of stress.

        Raises:
            ValueError: it carries a label whose unit the card does not state.
        """
        labels = self.card.labels
        length = units.factor(labels.length, "length")
        energy = _scale(published.energy, labels.energy, "energy")
        return replace(
            published,
            positions=published.positions * length,
            cell=published.cell * length,
            energy=None if energy is None else float(energy),
            forces=_scale(published.forces, labels.forces, "force", self._force_sign()),
            stress=_scale(published.stress, labels.stress, "stress", self._stress_sign()),
            branch=self.card.branch,
        )

    def stress_matrix(self, components: Sequence[float] | np.ndarray) -> np.ndarray:
        """A published stress of six numbers as a matrix, (3, 3), in the order the card states.

        Raises:
            ValueError: there are not six, or the card states no order.
        """
        order = self.card.labels.stress_order
        if order is None:
            raise ValueError(
                "the dataset's card states no stress_order, but a stress has 6 numbers"
            )
        if np.shape(components) != (6,):
            raise ValueError(f"stress has shape {np.shape(components)}, expected (6,)")
        stress = np.empty((3, 3))
        for name, value in zip(order.split(), components, strict=True):
            row, column = ("xyz".index(axis) for axis in name)
            stress[row, column] = stress[column, row] = value
        return stress

    def _stress_sign(self) -> float:
        return -1.0 if self.card.labels.stress_sign == "compression positive" else 1.0

    def _force_sign(self) -> float:
        return -1.0 if self.card.labels.forces_sign == "gradient" else 1.0


class ConformerAdapter(Adapter):
    """Reader of a dataset whose files hold many conformations of a molecule in one array.

    A subclass writes `conformers`, with the numbers as published: conversion is done here.
    """

    @abstractmethod
    def conformers(self, part: Part) -> Iterator[Conformers]:
        """Blocks of structures with equally many atoms, as published, each of bounded size.

        Raises:
            DataError: a file is damaged or not in the published layout.
        """

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every structure of a part."""
        for table in self.tables(part):
            for index in range(len(table)):
                structure = table.structure(index)
                published = table.splits[index] >= 0
                yield structure if published else replace(structure, split=None)

    def tables(self, part: Part) -> Iterator[StructureTable]:
        """The same structures, many at a time; a split that is not published is -1."""
        for block in self._converted(self.conformers(part)):
            if len(block):
                yield block.table(self.card.branch)

    def _converted(self, blocks: Iterable[Conformers]) -> Iterator[Conformers]:
        labels = self.card.labels
        for block in blocks:
            yield replace(
                block,
                positions=np.float64(units.factor(labels.length, "length")) * block.positions,
                energies=np.float64(units.factor(labels.energy, "energy")) * block.energies,
                forces=_scale(block.forces, labels.forces, "force", self._force_sign()),
            )


def _scale(
    value: float | np.ndarray | None, unit: str | None, quantity: str, sign: float = 1.0
) -> np.ndarray | None:
    if value is None:
        return None
    if unit is None:
        raise ValueError(f"the dataset's card states no {quantity} unit, but a structure has one")
    return np.asarray(value, dtype=np.float64) * (sign * units.factor(unit, quantity))


def find_files(raw: Path, patterns: Sequence[str]) -> list[Path]:
    """Files of a raw folder that match, each once; `raw` itself where it is a file.

    Raises:
        ValueError: there is none; the message names the folder and what was expected.
    """
    raw = Path(raw)
    if raw.is_file():
        return [raw]
    expected = ", ".join(patterns)
    if not raw.exists():
        raise ValueError(f"{raw} does not exist; expected a file or a folder with {expected}")
    found = [path for pattern in patterns for path in sorted(raw.glob(pattern)) if path.is_file()]
    if not found:
        raise ValueError(f"{raw} holds none of the expected files: {expected}")
    return list(dict.fromkeys(found))

"""What every dataset implements: read its published files, hand out structures in our units."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from hydracalc import units
from hydracalc.card import Card
from hydracalc.structure import AtomicStructure

COMPUTED_BY = "COMPUTED_BY.txt"


class Adapter(ABC):
    """Reader of one dataset as it was published.

    A subclass in `datasets/<id>/adapter.py` writes `read`. It builds structures with the numbers of
    the files and passes each through `converted`.

    Attributes:
        patterns: names or globs of the files below a raw folder; empty means those of the card.
        card: what is stated about the dataset.
        dropped: records that were left out, counted by reason; grows while `read` runs.
    """

    patterns: ClassVar[tuple[str, ...]] = ()

    def __init__(self, card: Card) -> None:
        self.card = card
        self.dropped: Counter[str] = Counter()

    @abstractmethod
    def read(self, raw: Path) -> Iterator[AtomicStructure]:
        """Every labelled structure, one at a time, in bounded memory.

        Args:
            raw: a published file, or a folder that holds the published files.

        Raises:
            ValueError: the folder holds none of the expected files.
            DataError: a file is damaged or not in the published layout.
        """

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
            forces=_scale(published.forces, labels.forces, "force"),
            stress=_scale(published.stress, labels.stress, "stress", self._stress_sign()),
            branch=self.card.branch,
        )

    def _stress_sign(self) -> float:
        return -1.0 if self.card.labels.stress_sign == "compression positive" else 1.0


def _scale(
    value: float | np.ndarray | None, unit: str | None, quantity: str, sign: float = 1.0
) -> np.ndarray | None:
    if value is None:
        return None
    if unit is None:
        raise ValueError(f"the dataset's card states no {quantity} unit, but a structure has one")
    return np.asarray(value) * (sign * units.factor(unit, quantity))


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

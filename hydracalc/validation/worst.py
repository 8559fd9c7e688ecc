"""The structures with the largest errors, by name."""

import heapq
from dataclasses import asdict, dataclass, field
from typing import Any

_KEPT = 10


@dataclass(frozen=True, kw_only=True)
class BadStructure:
    """A structure that a model is wrong about.

    Attributes:
        index: its place in the folder of shards or the file.
        source, formula, num_atoms: what it is.
        error: |prediction - label|; eV/atom of energies, the length of the difference of forces in
            eV/Angstrom on the atom where it is largest.
        label, predicted: what was compared; of forces, their lengths.
        atom: which atom; None of energies.
    """

    index: int
    source: str
    formula: str
    num_atoms: int
    error: float
    label: float
    predicted: float
    atom: int | None = None


@dataclass
class Worst:
    """Keeps the structures with the largest errors of those it is told of."""

    _heap: list[tuple[float, int, BadStructure]] = field(default_factory=list)
    _seen: int = 0

    def admits(self, error: float) -> bool:
        """Whether a structure with this error would be kept."""
        return len(self._heap) < _KEPT or error > self._heap[0][0]

    def add(self, structure: BadStructure) -> None:
        """Tell of a structure."""
        if not self.admits(structure.error):
            return
        self._seen += 1
        # the running number decides between equal errors: the earlier one counts as worse
        heapq.heappush(self._heap, (structure.error, -self._seen, structure))
        if len(self._heap) > _KEPT:
            heapq.heappop(self._heap)

    def found(self) -> list[BadStructure]:
        """The structures, worst first."""
        return [entry[2] for entry in sorted(self._heap, reverse=True, key=lambda e: e[:2])]

    def to_json(self) -> list[dict[str, Any]]:
        """The same as plain numbers and text."""
        return [asdict(each) for each in self.found()]

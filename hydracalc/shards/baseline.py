"""Reference energies of a training split too large for memory."""

import numpy as np

from hydracalc import elements, references
from hydracalc.references import References
from hydracalc.structure import AtomicStructure


class CompositionEnergies:
    """Mean total energy of every composition seen: all that a fit of references depends on.

    Structures of equal composition share a row of the least-squares problem, so a row that stands
    for n structures weighs n, and memory grows with compositions, not with structures.
    """

    def __init__(self) -> None:
        self._sums: dict[bytes, list[float]] = {}

    def add(self, structure: AtomicStructure) -> None:
        """Count one structure; without an energy it says nothing."""
        if structure.energy is None:
            return
        key = elements.composition(structure.atomic_numbers).astype(np.int32).tobytes()
        entry = self._sums.setdefault(key, [0.0, 0.0])
        entry[0] += 1
        entry[1] += structure.energy

    def fit(self) -> References:
        """Least-squares references of all structures added.

        Raises:
            ValueError: no labelled structure was added.
        """
        counts, sums = np.array(list(self._sums.values())).reshape(-1, 2).T
        compositions = np.frombuffer(b"".join(self._sums), dtype=np.int32)
        compositions = compositions.reshape(-1, elements.NUM_ELEMENTS)
        return references.fit(compositions, sums / np.maximum(counts, 1), counts=counts)

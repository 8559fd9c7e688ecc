"""rMD17: ten small organic molecules along molecular dynamics [10.1088/2632-2153/abba6f]."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.damage import reading
from hydracalc.structure import AtomicStructure

BLOCK = 10_000  # steps of the original trajectory, 5 ps: longer than vibrations are correlated


class Rmd17(Adapter):
    """Reads the published npz files, one per molecule.

    Frames are in random order; `old_indices` are their steps in the original trajectory. A group is
    a block of it, so that a test frame has no neighbor a few steps away in the training set.
    """

    patterns = ("**/rmd17_*.npz",)

    def read(self, raw: Path) -> Iterator[AtomicStructure]:
        """Every frame of every molecule."""
        for path in self.files(raw):
            with reading(path), path.open("rb") as file, np.load(file) as arrays:
                yield from self._frames(path.stem.split("_")[1], dict(arrays))

    def _frames(self, molecule: str, arrays: dict[str, np.ndarray]) -> Iterator[AtomicStructure]:
        energies, forces, steps = arrays["energies"], arrays["forces"], arrays["old_indices"]
        for row, positions in enumerate(arrays["coords"]):
            yield self.converted(
                AtomicStructure(
                    atomic_numbers=arrays["nuclear_charges"],
                    positions=positions,
                    energy=energies[row],
                    forces=forces[row],
                    group=f"{molecule}/{steps[row] // BLOCK}",
                    source=f"{molecule}/{steps[row]}",
                )
            )

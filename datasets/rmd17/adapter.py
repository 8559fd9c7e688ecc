"""rMD17: ten small organic molecules along molecular dynamics [10.1088/2632-2153/abba6f]."""

from collections.abc import Iterator

import numpy as np

from hydracalc.ingest.adapter import ConformerAdapter
from hydracalc.ingest.conformers import Conformers
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part

BLOCK = 10_000  # steps of the original trajectory, 5 ps: longer than vibrations are correlated


class Rmd17(ConformerAdapter):
    """Reads the published npz files, one per molecule.

    Frames are in random order; `old_indices` are their steps in the original trajectory. A group is
    a block of it, so that a test frame has no neighbor a few steps away in the training set.
    """

    patterns = ("**/rmd17_*.npz",)

    def conformers(self, part: Part) -> Iterator[Conformers]:
        """Every frame of a molecule; npz arrays are read whole, 100 MB for the largest."""
        path = part.path
        with reading(path), path.open("rb") as file, np.load(file) as arrays:
            molecule, steps = path.stem.split("_")[1], arrays["old_indices"].tolist()
            yield Conformers(
                atomic_numbers=arrays["nuclear_charges"],
                positions=arrays["coords"],
                energies=arrays["energies"],
                forces=arrays["forces"],
                groups=[f"{molecule}/{step // BLOCK}" for step in steps],
                sources=[f"{molecule}/{step}" for step in steps],
            )

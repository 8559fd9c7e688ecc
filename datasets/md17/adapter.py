"""MD17: eight small organic molecules along molecular dynamics [10.1126/sciadv.1603015]."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hydracalc.ingest.adapter import ConformerAdapter
from hydracalc.ingest.conformers import Conformers
from hydracalc.readers.damage import reading
from hydracalc.readers.npz_rows import small_array, stream_rows
from hydracalc.readers.parts import Part

MOLECULES = (
    "aspirin",
    "benzene2017",
    "ethanol",
    "malonaldehyde",
    "naphthalene",
    "salicylic",
    "toluene",
    "uracil",
)
GROUP = 10_000  # steps of the trajectory, 5 ps: longer than vibrations are correlated
BLOCK = 5_000  # frames in memory at a time


class Md17(ConformerAdapter):
    """Reads the published npz files of PBE+TS dynamics, one per molecule, frames in order of time.

    A group is a stretch of the trajectory, so that a test frame has no neighbor a few steps away in
    the training set.
    """

    patterns = ("**/*.npz",)

    def parts(self, raw: Path) -> list[Part]:
        """One molecule each.

        Raises:
            ValueError: a file is of another molecule or level of theory, as its name shows.
        """
        files = self.files(raw)
        for path in files:
            self._name(path)
        return [Part(path=path) for path in files]

    def conformers(self, part: Part) -> Iterator[Conformers]:
        """Every frame of a molecule."""
        path, name = part.path, self._name(part.path)
        with reading(path):
            theory = small_array(path, "theory")
            if theory is not None and "PBE" not in _text(theory):
                raise ValueError(f"it is {_text(theory)}; this dataset is {self.card.theory}")
            numbers = small_array(path, "z")
            if numbers is None:
                raise KeyError("z")
            for start, rows in stream_rows(path, ("R", "E", "F"), block=BLOCK):
                steps = range(start, start + len(rows["E"]))
                yield Conformers(
                    atomic_numbers=numbers,
                    positions=rows["R"],
                    energies=rows["E"].reshape(len(steps)),
                    forces=rows["F"],
                    groups=[f"{name}/{step // GROUP}" for step in steps],
                    sources=[f"{name}/{step}" for step in steps],
                )

    def _name(self, path: Path) -> str:
        """The molecule of a file, "ethanol" for md17_ethanol.npz, ethanol_dft.npz and ethanol.npz.

        Raises:
            ValueError: it is none of those that are at the dataset's level of theory.
        """
        name = path.stem.lower().removeprefix("md17_").removesuffix("_dft")
        if name not in MOLECULES:
            reason = "is coupled cluster" if "ccsd" in name else "is no molecule of MD17"
            raise ValueError(
                f"{path} {reason}; this dataset is {self.card.theory} of {', '.join(MOLECULES)}"
            )
        return name


def _text(array: np.ndarray) -> str:
    value = array.item()
    return value.decode() if isinstance(value, bytes) else str(value)

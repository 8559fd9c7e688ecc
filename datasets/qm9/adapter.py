"""QM9: relaxed organic molecules of up to nine heavy atoms [10.1038/sdata.2014.22]."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hydracalc import elements
from hydracalc.ingest.adapter import Adapter
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part
from hydracalc.readers.tar_texts import stream_texts
from hydracalc.structure import AtomicStructure

UNCHARACTERIZED = "uncharacterized.txt"
INDEX, ZERO_POINT, U0, PROPERTIES = 1, 11, 12, 17  # columns of the second line, and their number


class Qm9(Adapter):
    """Reads the published archive of xyz-like files without unpacking it.

    U0 is the electronic energy plus the zero-point vibrational energy, which is also published; the
    electronic energy, their difference, is what a potential is. Molecules that the publishers list
    as inconsistent are left out where their list is beside the archive.
    """

    patterns = ("dsgdb9nsd*.tar.bz2",)

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every molecule, each once."""
        path = part.path
        excluded = _uncharacterized(path.with_name(UNCHARACTERIZED))
        for name, text in stream_texts(path):
            with reading(path, name):
                structure, index = self._molecule(text)
            if index in excluded:
                self.dropped[f"listed in {UNCHARACTERIZED}"] += 1
            else:
                yield structure

    def _molecule(self, text: str) -> tuple[AtomicStructure, int]:
        """The molecule of one file, and its number in the dataset."""
        lines = text.splitlines()
        num_atoms = int(lines[0])
        properties = lines[1].split()
        if len(properties) != PROPERTIES or len(lines) < num_atoms + 5:
            raise ValueError(f"{len(lines)} lines, {len(properties)} properties in the second")
        atoms = [line.split() for line in lines[2 : num_atoms + 2]]
        structure = AtomicStructure(
            atomic_numbers=np.array([elements.number(atom[0]) for atom in atoms]),
            positions=np.array([[_number(value) for value in atom[1:4]] for atom in atoms]),
            energy=_number(properties[U0]) - _number(properties[ZERO_POINT]),
            group=lines[num_atoms + 4].split()[-1],
            source=f"gdb_{properties[INDEX]}",
        )
        return self.converted(structure), int(properties[INDEX])


def _number(text: str) -> float:
    """A number, also in the form 2.1*^-6 that some coordinates have."""
    return float(text.replace("*^", "e"))


def _uncharacterized(path: Path) -> set[int]:
    """Numbers of the molecules listed; they are the first column between the last two bars."""
    if not path.is_file():
        return set()
    lines = path.read_text().splitlines()
    bars = [number for number, line in enumerate(lines) if line.startswith("===")]
    rows = (line.split() for line in lines[bars[-2] + 1 if len(bars) > 1 else 0 :])
    return {int(row[0]) for row in rows if row and row[0].isdigit()}

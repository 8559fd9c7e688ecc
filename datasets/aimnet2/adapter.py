"""AIMNet2: neutral and charged molecules of 14 elements [10.1039/D4SC08572H]."""

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from hydracalc.ingest.adapter import ConformerAdapter
from hydracalc.ingest.conformers import Conformers
from hydracalc.ingest.hdf5_rows import formulas, row_parts, rows_of
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part

OTHER_THEORY = re.compile("b97-?3c", re.IGNORECASE)


class Aimnet2(ConformerAdapter):
    """Reads the published HDF5 file, one group for each number of atoms, any molecules in it."""

    patterns = ("aimnet2*.h5",)

    def parts(self, raw: Path) -> list[Part]:
        """Some rows of one group each.

        Raises:
            ValueError: a file holds the other level of theory published beside it.
        """
        files = self.files(raw)
        for path in files:
            if OTHER_THEORY.search(path.name):
                raise ValueError(f"{path} is B97-3c; this dataset is {self.card.theory}")
        return row_parts(files, "coord")

    def conformers(self, part: Part) -> Iterator[Conformers]:
        """Every row, with its own charge, and its multiplicity where the file has them."""
        for name, group, rows in rows_of(part, "coord"):
            with reading(part.path, name):
                yield self._block(name, group, rows)

    def _block(self, name: str, group: h5py.Group, rows: slice) -> Conformers:
        numbers = group["numbers"][rows].astype(np.int64)
        return Conformers(
            atomic_numbers=numbers,
            positions=group["coord"][rows],
            energies=group["energy"][rows],
            forces=group["forces"][rows],
            total_charge=group["charge"][rows].astype(np.int64),
            spin_multiplicity=group["mult"][rows].astype(np.int64) if "mult" in group else 1,
            groups=formulas(numbers),
            sources=[f"{name}/{row}" for row in range(rows.start, rows.stop)],
        )

"""ANI-2x: conformations of organic molecules with S, F and Cl [10.1021/acs.jctc.0c00121]."""

import re
from collections.abc import Iterator
from pathlib import Path

import h5py

from hydracalc.ingest.adapter import ConformerAdapter
from hydracalc.ingest.conformers import Conformers
from hydracalc.ingest.hdf5_rows import formulas, row_parts, rows_of
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part

OTHER_THEORY = re.compile("b97-?3c|wb97m|def2", re.IGNORECASE)


class Ani2x(ConformerAdapter):
    """Reads the published HDF5 file, one group for each number of atoms, any molecules in it."""

    patterns = ("**/ANI-2x-wB97X-631Gd*.h5", "ani2x*.hdf5")

    def parts(self, raw: Path) -> list[Part]:
        """Some rows of one group each.

        Raises:
            ValueError: a file holds one of the other levels of theory published beside it.
        """
        files = self.files(raw)
        for path in files:
            if OTHER_THEORY.search(path.name):
                raise ValueError(
                    f"{path} holds another level of theory; this dataset is {self.card.theory}"
                )
        return row_parts(files, "coordinates")

    def conformers(self, part: Part) -> Iterator[Conformers]:
        """Every row."""
        for name, group, rows in rows_of(part, "coordinates"):
            with reading(part.path, name):
                yield self._block(name, group, rows)

    def _block(self, name: str, group: h5py.Group, rows: slice) -> Conformers:
        numbers = group["species"][rows]
        return Conformers(
            atomic_numbers=numbers,
            positions=group["coordinates"][rows],
            energies=group["energies"][rows],
            forces=group["forces"][rows],
            groups=formulas(numbers),
            sources=[f"{name}/{row}" for row in range(rows.start, rows.stop)],
        )

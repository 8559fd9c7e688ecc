"""nabla2DFT: conformations of drug-like molecules [10.48550/arXiv.2406.14347]."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.folders import sided
from hydracalc.readers.ase_sqlite import Row, metadata_of, row_parts, rows_of
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

UNITS = {"energy": "Hartree", "forces": "Hartree/Ang"}
_PUBLISHED = re.compile(r"(train|test)_.+_v2_")
_TRAINING = re.compile(r"train_(\d+k|full)_v2_")


class Nabla2Dft(Adapter):
    """Reads the published ASE databases and adds the energies of free atoms they state.

    Rows have formation energies; the database's own metadata has the atoms that were subtracted.
    """

    patterns = ("train_*.db", "test_*.db")

    def parts(self, raw: Path) -> list[Part]:
        """Ranges of rows.

        Raises:
            ValueError: there are several training sets, of which the larger hold the smaller.
        """
        files = self.files(raw)
        training = [path.name for path in files if _TRAINING.match(path.name)]
        if len(training) > 1:
            raise ValueError(f"{raw} holds nested training sets, keep one of: {training}")
        return row_parts(files)

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every conformation, with forces where the database has them."""
        with reading(part.path):
            atoms = _free_atoms(part.path)
        published = _PUBLISHED.match(part.path.name)
        split = published.group(1) if published else None
        for row in rows_of(part):
            with reading(part.path, f"row {row.number}"):
                yield self._structure(row, atoms, split)

    def _structure(self, row: Row, atoms: np.ndarray, split: str | None) -> AtomicStructure:
        numbers, pairs = row.atomic_numbers, row.key_value_pairs
        energies = atoms[numbers]
        if not energies.all():
            raise ValueError("the metadata's atomrefs lack an element of it")
        return self.converted(
            AtomicStructure(
                atomic_numbers=numbers,
                positions=row.positions,
                energy=np.asarray(row.data["energy"]).item() + energies.sum(),
                forces=row.data.get("forces"),
                group=sided(str(pairs["moses_id"]), split),
                split=split,
                source=f"{pairs['moses_id']}/{pairs['conformation_id']}",
            )
        )


def _free_atoms(path: Path) -> np.ndarray:
    """Energies of free atoms by Z as the database states them, 0 where it has none."""
    metadata = metadata_of(path)
    if metadata["_distance_unit"] != "Ang" or metadata["_property_unit_dict"] != UNITS:
        raise ValueError("the units in its metadata are not those of the dataset's card")
    return np.array(metadata["atomrefs"]["energy"], dtype=np.float64)

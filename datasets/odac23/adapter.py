"""ODAC23: CO2 and H2O in metal-organic frameworks [10.1021/acscentsci.3c01629]."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hydracalc.elements import reduced_formula
from hydracalc.ingest.ase_rows import UNLABELLED, RowAdapter, numbers_of
from hydracalc.ingest.folders import place, published_split, sided
from hydracalc.ingest.pyg_lmdb import RefusesPickles
from hydracalc.readers.ase_frames import labelled, read_frames
from hydracalc.readers.aselmdb import Row, array, row_parts
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

DATABASE = ".aselmdb"


class Odac23(RefusesPickles, RowAdapter):
    """Reads extended XYZ files, one for each relaxation, or databases of rows.

    Atoms with tag 0 are the framework: its composition is the group, with every adsorbate in it.
    """

    patterns = ("**/*.extxyz", "**/*.extxyz.xz", "**/*.aselmdb")
    instead = "extxyz_train.tar.gz and extxyz_val.tar.gz, which hold extended XYZ files"
    folders = {"train": "train", "val": "val", "extxyz_train": "train", "extxyz_val": "val"}

    def parts(self, raw: Path) -> list[Part]:
        """Extended XYZ files, and ranges of rows."""
        files = self.files(raw)
        databases = row_parts([path for path in files if path.suffix == DATABASE])
        return [Part(path=path) for path in files if path.suffix != DATABASE] + databases

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every frame or row that has energy and forces."""
        return super().structures(part) if part.path.suffix == DATABASE else self._frames(part.path)

    def group(self, row: Row) -> str:
        """Composition of the framework."""
        numbers = numbers_of(row)
        return _framework(numbers, array(row["tags"]) if "tags" in row else np.zeros_like(numbers))

    def _frames(self, path: Path) -> Iterator[AtomicStructure]:
        split, name = published_split(path, self.folders), place(path, self.folders)
        for number, atoms in enumerate(read_frames(path)):
            with reading(path, f"frame {number}"):
                structure = labelled(atoms, source=f"{name}/{number}")
                if structure is None:
                    self.dropped[UNLABELLED] += 1
                    continue
                group = sided(_framework(atoms.numbers, atoms.get_tags()), split)
                yield self.converted(replace(structure, group=group, split=split))


def _framework(numbers: np.ndarray, tags: np.ndarray) -> str:
    return reduced_formula(numbers[tags == 0] if (tags == 0).any() else numbers)

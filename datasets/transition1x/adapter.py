"""Transition1x: structures along reaction paths [10.1038/s41597-022-01870-w]."""

from collections.abc import Iterator
from pathlib import Path

import h5py

from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.damage import reading
from hydracalc.structure import AtomicStructure

THEORY = "wB97x_6-31G(d)"
SPLITS = ("train", "val", "test")
EVERYTHING = "data"  # the same reactions again, without a split


class Transition1x(Adapter):
    """Reads the published HDF5 file, /<split>/<formula>/<reaction>/<property>.

    Reactant, product and transition state of a reaction are groups inside it that repeat rows of
    its path; only the path is read.
    """

    patterns = ("[Tt]ransition1x*.h5",)

    def read(self, raw: Path) -> Iterator[AtomicStructure]:
        """Every structure of every path, with the published split where the file has one."""
        for path in self.files(raw):
            with reading(path), h5py.File(path) as file:
                splits = [split for split in SPLITS if split in file]
                for split in splits or [EVERYTHING]:
                    for formula, reactions in file[split].items():
                        for reaction, record in reactions.items():
                            name = f"{formula}/{reaction}"
                            with reading(path, name):
                                yield from self._path(name, record, split if splits else None)

    def _path(self, name: str, record: h5py.Group, split: str | None) -> Iterator[AtomicStructure]:
        numbers = record["atomic_numbers"][:]
        energies, forces = record[f"{THEORY}.energy"][:], record[f"{THEORY}.forces"][:]
        for row, positions in enumerate(record["positions"][:]):
            yield self.converted(
                AtomicStructure(
                    atomic_numbers=numbers,
                    positions=positions,
                    energy=energies[row],
                    forces=forces[row],
                    group=name,
                    split=split,
                    source=f"{name}/{row}",
                )
            )

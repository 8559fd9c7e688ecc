"""Transition1x: structures along reaction paths [10.1038/s41597-022-01870-w]."""

from collections.abc import Iterator
from pathlib import Path

import h5py

from hydracalc.ingest.adapter import ConformerAdapter
from hydracalc.ingest.conformers import Conformers, row_blocks
from hydracalc.readers.damage import reading
from hydracalc.readers.hdf5_groups import group_parts, groups_of
from hydracalc.readers.parts import Part

THEORY = "wB97x_6-31G(d)"
SPLITS = ("train", "val", "test")
EVERYTHING = "data"  # the same reactions again, without a split


class Transition1x(ConformerAdapter):
    """Reads the published HDF5 file, /<split>/<formula>/<reaction>/<property>.

    Reactant, product and transition state of a reaction are groups inside it that repeat rows of
    its path; only the path is read.
    """

    patterns = ("[Tt]ransition1x*.h5",)

    def parts(self, raw: Path) -> list[Part]:
        """Some reactions each."""
        return group_parts(self.files(raw), _reactions)

    def conformers(self, part: Part) -> Iterator[Conformers]:
        """Every structure of every path, with the published split where the file has one."""
        for path, record in groups_of(part, _reactions):
            side, _, name = path.partition("/")
            with reading(part.path, name):
                for rows in row_blocks(*record["positions"].shape[:2]):
                    yield Conformers(
                        atomic_numbers=record["atomic_numbers"][:],
                        positions=record["positions"][rows],
                        energies=record[f"{THEORY}.energy"][rows],
                        forces=record[f"{THEORY}.forces"][rows],
                        groups=name,
                        sources=[f"{name}/{row}" for row in range(rows.start, rows.stop)],
                        split=side if side in SPLITS else None,
                    )


def _reactions(file: h5py.File) -> list[str]:
    """<split>/<formula>/<reaction> of every reaction, each once."""
    sides = [side for side in SPLITS if side in file] or [EVERYTHING]
    formulas = [f"{side}/{formula}" for side in sides for formula in file[side]]
    return [f"{formula}/{reaction}" for formula in formulas for reaction in file[formula]]

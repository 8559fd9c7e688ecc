"""ANI-1x: actively sampled conformations of organic molecules [10.1038/s41597-020-0473-z]."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from hydracalc import elements
from hydracalc.ingest.adapter import ConformerAdapter
from hydracalc.ingest.conformers import Conformers, row_blocks
from hydracalc.readers.damage import reading
from hydracalc.readers.hdf5_groups import group_parts, groups_of
from hydracalc.readers.parts import Part

THEORY = "wb97x_dz"


class Ani1x(ConformerAdapter):
    """Reads the published HDF5 file, one group per formula; rows without labels are counted."""

    patterns = ("ani1x*.h5",)

    def parts(self, raw: Path) -> list[Part]:
        """Some formulas each."""
        return group_parts(self.files(raw))

    def conformers(self, part: Part) -> Iterator[Conformers]:
        """Every conformation that has a wB97X/6-31G(d) energy and forces."""
        for formula, molecule in groups_of(part):
            with reading(part.path, formula):
                for rows in row_blocks(*molecule["coordinates"].shape[:2]):
                    yield self._labelled(self._block(formula, molecule, rows))

    def _block(self, name: str, molecule: h5py.Group, rows: slice) -> Conformers:
        numbers = molecule["atomic_numbers"][:]
        return Conformers(
            atomic_numbers=numbers,
            positions=molecule["coordinates"][rows],
            energies=molecule[f"{THEORY}.energy"][rows],
            forces=molecule[f"{THEORY}.forces"][rows],
            groups=elements.formula(numbers),
            sources=[f"{name}/{row}" for row in range(rows.start, rows.stop)],
        )

    def _labelled(self, block: Conformers) -> Conformers:
        no_energy = np.isnan(block.energies)
        no_forces = np.isnan(block.forces).any(axis=(1, 2)) & ~no_energy
        for missing, absent in (("energy", no_energy), ("forces", no_forces)):
            if absent.any():
                self.dropped[f"no {THEORY} {missing}"] += int(absent.sum())
        return block.rows(~(no_energy | no_forces))

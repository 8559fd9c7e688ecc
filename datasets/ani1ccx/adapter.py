"""ANI-1ccx: coupled-cluster energies of molecules of ANI-1x [10.1038/s41597-020-0473-z]."""

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

ENERGY = "ccsd(t)_cbs.energy"


class Ani1ccx(ConformerAdapter):
    """Reads the coupled-cluster labels of the HDF5 file of ANI-1x; most rows have none."""

    patterns = ("ani1x*.h5",)

    def parts(self, raw: Path) -> list[Part]:
        """Some formulas each."""
        return group_parts(self.files(raw))

    def conformers(self, part: Part) -> Iterator[Conformers]:
        """Every conformation that has a CCSD(T)*/CBS energy."""
        for formula, molecule in groups_of(part):
            with reading(part.path, formula):
                for rows in row_blocks(*molecule["coordinates"].shape[:2]):
                    yield self._labelled(formula, molecule, rows)

    def _labelled(self, name: str, molecule: h5py.Group, rows: slice) -> Conformers:
        numbers = molecule["atomic_numbers"][:]
        block = Conformers(
            atomic_numbers=numbers,
            positions=molecule["coordinates"][rows],
            energies=molecule[ENERGY][rows],
            forces=None,
            groups=elements.formula(numbers),
            sources=[f"{name}/{row}" for row in range(rows.start, rows.stop)],
        )
        absent = np.isnan(block.energies)
        if absent.any():
            self.dropped[f"no {ENERGY}"] += int(absent.sum())
        return block.rows(~absent)

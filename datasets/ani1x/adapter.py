"""ANI-1x: actively sampled conformations of organic molecules [10.1038/s41597-020-0473-z]."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from hydracalc import elements
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.damage import reading
from hydracalc.structure import AtomicStructure

THEORY = "wb97x_dz"


class Ani1x(Adapter):
    """Reads the published HDF5 file, one group per formula; rows without labels are counted."""

    patterns = ("ani1x*.h5",)

    def read(self, raw: Path) -> Iterator[AtomicStructure]:
        """Every conformation that has a wB97X/6-31G(d) energy and forces."""
        for path in self.files(raw):
            with reading(path), h5py.File(path) as file:
                for formula, conformations in file.items():
                    with reading(path, formula):
                        yield from self._conformations(formula, conformations)

    def _conformations(self, name: str, molecule: h5py.Group) -> Iterator[AtomicStructure]:
        numbers = molecule["atomic_numbers"][:]
        group = elements.formula(numbers)
        energies, forces = molecule[f"{THEORY}.energy"][:], molecule[f"{THEORY}.forces"][:]
        for row, positions in enumerate(molecule["coordinates"][:]):
            if np.isnan(energies[row]) or np.isnan(forces[row]).any():
                missing = "energy" if np.isnan(energies[row]) else "forces"
                self.dropped[f"no {THEORY} {missing}"] += 1
                continue
            yield self.converted(
                AtomicStructure(
                    atomic_numbers=numbers,
                    positions=positions,
                    energy=energies[row],
                    forces=forces[row],
                    group=group,
                    source=f"{name}/{row}",
                )
            )

"""SPICE: drug-like molecules, peptides and their complexes [10.1038/s41597-022-01882-6]."""

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from hydracalc.ingest.adapter import ConformerAdapter
from hydracalc.ingest.conformers import Conformers, row_blocks
from hydracalc.readers.damage import reading
from hydracalc.readers.hdf5_groups import group_parts, groups_of
from hydracalc.readers.parts import Part

_BRACKETS = re.compile(r"\[([^\]]*)\]")
_CHARGE = re.compile(r"(\++|-+)(\d*)(?::\d+)?$")  # [N+:9], [Ca+2], [Ca++]


class Spice(ConformerAdapter):
    """Reads the published HDF5 file, one group per molecule or complex, of SPICE 1 or 2.

    The file states no charge, so it is that of the SMILES string; the publishers set up their
    calculations, singlets all, from the same string.
    """

    patterns = ("SPICE-*.hdf5",)

    def parts(self, raw: Path) -> list[Part]:
        """Some molecules each.

        Raises:
            ValueError: there are two releases, of which the newer holds all of the older.
        """
        files = self.files(raw)
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            raise ValueError(f"{raw} holds several releases of one dataset, keep one of: {names}")
        return group_parts(files)

    def conformers(self, part: Part) -> Iterator[Conformers]:
        """Every conformation of an even number of electrons."""
        for name, molecule in groups_of(part):
            with reading(part.path, name):
                numbers = molecule["atomic_numbers"][:].astype(np.int64)
                charge = formal_charge(molecule["smiles"].asstr()[0])
                count, num_atoms = molecule["conformations"].shape[:2]
                if (numbers.sum() - charge) % 2:
                    self.dropped["odd number of electrons, but labelled as a singlet"] += count
                    continue
                for rows in row_blocks(count, num_atoms):
                    yield self._block(name, molecule, rows, charge)

    def _block(self, name: str, molecule: h5py.Group, rows: slice, charge: int) -> Conformers:
        return Conformers(
            atomic_numbers=molecule["atomic_numbers"][:].astype(np.int64),
            positions=molecule["conformations"][rows],
            energies=molecule["dft_total_energy"][rows],
            forces=molecule["dft_total_gradient"][rows],
            total_charge=charge,
            groups=name,
            sources=[f"{name}/{row}" for row in range(rows.start, rows.stop)],
        )


def formal_charge(smiles: str) -> int:
    """Sum of the formal charges of a SMILES string, e; only atoms in brackets can have one."""
    total = 0
    for atom in _BRACKETS.findall(smiles):
        found = _CHARGE.search(atom)
        if found:
            signs, size = found.groups()
            total += (1 if signs[0] == "+" else -1) * (int(size) if size else len(signs))
    return total

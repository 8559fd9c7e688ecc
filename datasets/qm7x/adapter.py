"""QM7-X: molecules with up to seven heavy atoms [10.1038/s41597-021-00812-2]."""

from collections.abc import Iterator
from pathlib import Path

import h5py

from hydracalc.ingest.adapter import Adapter
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

DUPLICATES = "DupMols.dat"


class Qm7x(Adapter):
    """Reads the eight published HDF5 files, /<molecule>/<structure>/<property>.

    Structures that the publishers list as duplicates are left out where their list is beside the
    files. The energy is PBE0+MBD, and so are the forces `totFOR`.
    """

    patterns = ("[1-8]000.hdf5",)

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every structure, each once."""
        path = part.path
        duplicates = _duplicates(path.with_name(DUPLICATES))
        with reading(path), h5py.File(path) as file:
            for molecule, structures in file.items():
                for name, record in structures.items():
                    if name.rpartition("-")[0] in duplicates:
                        self.dropped[f"listed in {DUPLICATES}"] += 1
                        continue
                    with reading(path, name):
                        yield self._structure(molecule, name, record)

    def _structure(self, molecule: str, name: str, record: h5py.Group) -> AtomicStructure:
        return self.converted(
            AtomicStructure(
                atomic_numbers=record["atNUM"][:],
                positions=record["atXYZ"][:],
                energy=record["ePBE0+MBD"][()].item(),  # published as an array of one
                forces=record["totFOR"][:],
                group=molecule,
                source=name,
            )
        )


def _duplicates(path: Path) -> set[str]:
    """Conformers listed as duplicates, "Geom-m1-i1-c2": the list has their "-opt" structures."""
    if not path.is_file():
        return set()
    return {line.strip().removesuffix("-opt") for line in path.read_text().splitlines()}

"""MatterSim benchmarks: crystals at high temperature and pressure [10.48550/arXiv.2405.04967]."""

from collections.abc import Iterator
from dataclasses import replace

from ase import Atoms

from hydracalc.elements import reduced_formula
from hydracalc.ingest.adapter import Adapter
from hydracalc.readers.damage import reading
from hydracalc.readers.extxyz_parts import stream_extxyz
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure, from_atoms

SOURCE = "Internal"  # what the publishers write in a frame computed with their own settings


class MatterSim(Adapter):
    """Reads the published extended XYZ files; frames copied from other datasets are counted."""

    patterns = ("*-TP.xyz", "*-TP.xyz.gz")

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every frame computed with the publishers' own settings."""
        path = part.path
        for atoms in stream_extxyz(path):
            with reading(path):
                if atoms.info["source"] != SOURCE:
                    self.dropped[f"source {atoms.info['source']}"] += 1
                    continue
                yield self._structure(atoms)

    def _structure(self, atoms: Atoms) -> AtomicStructure:
        published = replace(
            from_atoms(atoms, source=atoms.info["internal_id"]),
            energy=atoms.get_potential_energy(),
            forces=atoms.get_forces(apply_constraint=False),
            stress=atoms.get_stress(voigt=False),
            group=reduced_formula(atoms.numbers),
        )
        return self.converted(published)

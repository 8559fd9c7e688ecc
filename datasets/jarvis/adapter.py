"""JARVIS-DFT: crystals along their relaxations, training set of ALIGNN-FF [10.1039/D2DD00096B]."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hydracalc import elements
from hydracalc.card import Card
from hydracalc.checks.energy_scale import SCALES, energy_scale, total_energy_of
from hydracalc.ingest.adapter import Adapter
from hydracalc.readers.damage import reading
from hydracalc.readers.json_stream import stream_list
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

STATED = "ENERGY.txt"  # beside a file: "total" or "per atom"
DECIDING = 5000  # records from the start of a file that tell the scale of its energies
CLOSE = 0.2  # Angstrom


class Jarvis(Adapter):
    """Streams id_prop.json, a list of {jid, atoms, total_energy or energy, forces, stresses}.

    Some files hold total energies and others, under the same key, energies per atom. Which a file
    holds follows from its forces and stresses; where it does not, ENERGY.txt beside it must say.
    """

    patterns = ("**/id_prop*.json", "**/*_id_prop.json")

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        self._scales: dict[Path, str] = {}

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every record."""
        if part.path not in self._scales:
            self._scales[part.path] = self._scale(part.path)
        is_per_atom = self._scales[part.path] == "per atom"
        for structure in self._as_published(part.path):
            yield total_energy_of(structure) if is_per_atom else structure

    def _scale(self, path: Path) -> str:
        stated = path.with_name(STATED)
        if stated.is_file():
            word = stated.read_text().strip()
            if word not in SCALES:
                raise ValueError(f"{stated} says {word!r}, expected one of {SCALES}")
            return word
        first = list(islice(self._as_published(path), DECIDING))
        with reading(path, f"no {STATED} beside it"):
            return energy_scale(first, max_displacement=CLOSE)

    def _as_published(self, path: Path) -> Iterator[AtomicStructure]:
        for number, record in enumerate(stream_list(path, "")):
            with reading(path, f"record {number}"):
                yield self.converted(_structure(number, record))


def _structure(number: int, record: Mapping[str, Any]) -> AtomicStructure:
    atoms, stress = record["atoms"], np.array(record["stresses"], dtype=np.float64)
    if stress.shape == (6,):
        raise ValueError(
            "six numbers of stress: a copy of mlearn (PBE), for which see that dataset"
        )
    cell, coordinates = np.array(atoms["lattice_mat"]), np.array(atoms["coords"])
    return AtomicStructure(
        atomic_numbers=np.array([elements.number(symbol.strip()) for symbol in atoms["elements"]]),
        positions=coordinates if atoms["cartesian"] else coordinates @ cell,
        cell=cell,
        pbc=np.ones(3, dtype=bool),
        energy=record["total_energy"] if "total_energy" in record else record["energy"],
        forces=record["forces"],
        stress=stress,
        group=str(record["jid"]).partition("_")[0],
        source=f"{record['jid']}/{number}",
    )

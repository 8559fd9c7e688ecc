"""MPtrj: relaxation trajectories of the Materials Project [10.1038/s42256-023-00716-3]."""

from collections.abc import Iterator, Mapping
from typing import Any

from hydracalc.ingest.adapter import Adapter
from hydracalc.readers.crystals import is_ordered, read_crystal
from hydracalc.readers.damage import reading
from hydracalc.readers.json_stream import stream_mapping
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure


class Mptrj(Adapter):
    """Streams the published JSON file, {mp-id: {frame: labels}}, one material at a time.

    The energy is the uncorrected one, whose derivatives the forces and the stress are.
    """

    patterns = ("MPtrj*.json", "MPtrj*.json.gz")

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every frame that has energy and forces."""
        path = part.path
        for material, frames in stream_mapping(path):
            with reading(path, material):
                for name, frame in frames.items():
                    yield from self._frame(material, name, frame)

    def _frame(
        self, material: str, name: str, frame: Mapping[str, Any]
    ) -> Iterator[AtomicStructure]:
        energy, forces = frame["uncorrected_total_energy"], frame["force"]
        if energy is None or forces is None:
            self.dropped["no energy or no forces"] += 1
        elif not is_ordered(frame["structure"]):
            self.dropped["disordered"] += 1
        else:
            crystal = read_crystal(frame["structure"])
            yield self.converted(
                AtomicStructure(
                    **vars(crystal),
                    energy=energy,
                    forces=forces,
                    stress=frame["stress"],
                    group=material,
                    source=f"{material}/{name}",
                )
            )

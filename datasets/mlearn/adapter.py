"""mlearn: six elements in molecular dynamics, strained, and as surfaces [10.1021/acs.jpca.9b08723].

The six numbers of a stress are not in the same order throughout; the card's notes say how the
orders were found.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.folders import sided
from hydracalc.readers.crystals import read_crystal
from hydracalc.readers.damage import reading
from hydracalc.readers.json_stream import stream_list
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

SPLITS = {"train": "train", "training": "train", "test": "test"}
# in the card's order; all others have the last two, yz and xz, exchanged
IN_ORDER = {("Li", None), ("Si", "Elastic"), ("Ge", "Elastic")}
EXCHANGED = [0, 1, 2, 3, 5, 4]


class Mlearn(Adapter):
    """Streams the published files <element>/training.json and <element>/test.json.

    Each is a list of {structure, outputs, element, group, description, tag}.
    """

    patterns = ("**/training.json", "**/test.json", "**/mlearn*.json.gz")

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every record, with the published split."""
        for number, record in enumerate(stream_list(part.path, "")):
            with reading(part.path, f"record {number}"):
                source = f"{part.path.name.partition('.')[0]}/{record['element']}/{number}"
                yield self.converted(self._structure(source, record))

    def _structure(self, source: str, record: Mapping[str, Any]) -> AtomicStructure:
        element, kind, outputs = record["element"], record["group"], record["outputs"]
        split = SPLITS[record["tag"]]
        return AtomicStructure(
            **vars(read_crystal(record["structure"])),
            energy=outputs["energy"],
            forces=outputs["forces"],
            stress=self._stress(element, kind, outputs["virial_stress"]),
            group=sided(f"{element} {kind}", split),
            split=split,
            source=source,
        )

    def _stress(self, element: str, kind: str, published: list[float]) -> np.ndarray:
        six = np.array(published, dtype=np.float64)
        in_order = {(element, None), (element, kind)} & IN_ORDER
        return self.stress_matrix(six if in_order else six[EXCHANGED])

"""Alexandria: crystals at and near their relaxed geometries [10.1016/j.mtphys.2024.101560]."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hydracalc.elements import reduced_formula
from hydracalc.ingest.adapter import Adapter
from hydracalc.readers.crystals import is_ordered, read_crystal
from hydracalc.readers.damage import reading
from hydracalc.readers.json_stream import first_key, stream_list, stream_mapping
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

OTHER_THEORY = ("alexandria_ps_", "alexandria_scan_")


class Alexandria(Adapter):
    """Streams the published files: hull entries, and trajectories of geometry optimizations.

    Hull files are {"entries": [{structure, data}]}, forces being properties of the sites;
    trajectory files are {material: [{"steps": [{structure, energy, forces, stress}]}]}.
    """

    patterns = (
        "**/alexandria_[0-9]*.json.bz2",
        "**/alexandria_[12]d_*.json.bz2",
        "**/alex_go_*.json.bz2",
    )

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every entry and every step that has energy and forces.

        Raises:
            ValueError: a file holds another level of theory, PBEsol or SCAN.
        """
        path = part.path
        if path.name.startswith(OTHER_THEORY):
            raise ValueError(f"{path} is PBEsol or SCAN; this dataset is {self.card.theory}")
        entries = self._entries(path) if first_key(path) == "entries" else self._steps(path)
        for name, structure, labels in entries:
            with reading(path, name):
                yield from self._labelled(name, structure, labels)

    def _entries(self, path: Path) -> Iterator[tuple[str, Mapping, dict[str, Any]]]:
        for entry in stream_list(path, "entries"):
            with reading(path, str(entry.get("entry_id"))):
                structure, data = entry["structure"], entry["data"]
                forces = [site["properties"].get("forces") for site in structure["sites"]]
                yield data["mat_id"], structure, {"energy": data["energy_total"], "forces": forces}

    def _steps(self, path: Path) -> Iterator[tuple[str, Mapping, dict[str, Any]]]:
        for material, calculations in stream_mapping(path):
            with reading(path, material):
                for number, calculation in enumerate(calculations):
                    for index, step in enumerate(calculation["steps"]):
                        labels = {key: step[key] for key in ("energy", "forces", "stress")}
                        yield f"{material}/{number}/{index}", step["structure"], labels

    def _labelled(
        self, name: str, structure: Mapping, labels: dict[str, Any]
    ) -> Iterator[AtomicStructure]:
        if not is_ordered(structure):
            self.dropped["disordered"] += 1
        elif labels["energy"] is None or not _is_table(labels["forces"], len(structure["sites"])):
            self.dropped["no energy, or forces absent or malformed"] += 1
        else:
            crystal = read_crystal(structure)
            group = reduced_formula(crystal.atomic_numbers)
            yield self.converted(
                AtomicStructure(**vars(crystal), **labels, group=group, source=name)
            )


def _is_table(rows: Any, num_atoms: int) -> bool:  # noqa: ANN401 -- whatever the JSON holds
    """Whether it is one vector of three numbers for each atom; some trajectories have others."""
    try:
        return np.array(rows, dtype=np.float64).shape == (num_atoms, 3)
    except (TypeError, ValueError):
        return False

"""MatPES files: one list of entries for each functional, read one entry at a time."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import orjson

from hydracalc.elements import reduced_formula
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.folders import sided
from hydracalc.readers.crystals import is_ordered, read_crystal
from hydracalc.readers.damage import reading
from hydracalc.readers.json_stream import open_bytes, stream_list
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

_SPLITS = {"train": "train", "valid": "val", "test": "test"}


class MatpesAdapter(Adapter):
    """Streams MatPES-<functional>-<version>.json.gz, or .json, or .jsonl with an entry in a line.

    Where the published list of the split, MatPES-<functional>-split.json.gz, lies beside the file,
    its split is kept. It deals structures, not materials, so a material may be on several sides.

    Attributes:
        functional: as entries name it; those of another one are counted, not read.
    """

    functional: ClassVar[str]

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every entry with energy and forces."""
        splits = _published_splits(part.path, self.functional)
        for number, entry in enumerate(_entries(part.path)):
            with reading(part.path, f"entry {number} ({entry.get('matpes_id')})"):
                reason = self._reason_to_drop(entry)
                if reason is not None:
                    self.dropped[reason] += 1
                    continue
                split = None if splits is None else splits.get(number, "test")
                yield self.converted(self._structure(number, entry, split))

    def _reason_to_drop(self, entry: Mapping[str, Any]) -> str | None:
        if entry["functional"].casefold() != self.functional.casefold():
            return f"functional {entry['functional']}"
        if entry["energy"] is None or entry["forces"] is None:
            return "no energy or no forces"
        return None if is_ordered(entry["structure"]) else "disordered"

    def _structure(
        self, number: int, entry: Mapping[str, Any], split: str | None
    ) -> AtomicStructure:
        crystal, stress = read_crystal(entry["structure"]), entry["stress"]
        material = (entry.get("provenance") or {}).get("original_mp_id")
        return AtomicStructure(
            **vars(crystal),
            energy=entry["energy"],
            forces=entry["forces"],
            stress=None if stress is None else self.stress_matrix(stress),
            group=sided(material or reduced_formula(crystal.atomic_numbers), split),
            split=split,
            source=str(entry.get("matpes_id") or number),
        )


def _entries(path: Path) -> Iterator[Mapping[str, Any]]:
    if ".jsonl" not in path.suffixes:
        yield from stream_list(path, "")
        return
    with reading(path), open_bytes(path) as file:
        for line in file:
            if not line.endswith(b"\n"):
                raise ValueError("ends within a line")
            yield orjson.loads(line)


def _published_splits(path: Path, functional: str) -> dict[int, str] | None:
    """Side of each entry by its place in the file; None without a published list.

    Those that the list does not name are for testing, as the publishers' own example reads it.
    """
    listed = path.with_name(f"MatPES-{functional.upper()}-split.json.gz")
    if not listed.is_file():
        return None
    with reading(listed), open_bytes(listed) as file:
        sides = json.load(file)
        return {number: _SPLITS[side] for side, numbers in sides.items() for number in numbers}

"""A dataset without an adapter of its own: its card's [keys] say under which names labels are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress

from hydracalc import errors
from hydracalc.card import Card, Keys
from hydracalc.elements import formula, reduced_formula
from hydracalc.errors import DataError
from hydracalc.ingest.adapter import Adapter, find_files
from hydracalc.ingest.folders import sided
from hydracalc.readers.damage import reading
from hydracalc.readers.frame_files import RECOGNIZED, Record, record_parts, records_of
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

_SPLITS = {"training": "train", "valid": "val", "validation": "val"} | {
    split: split for split in ("train", "val", "test")
}
_WORD_OF_SPLIT = re.compile(rf"(?<![a-z])({'|'.join(_SPLITS)})(?![a-z])")
_SET = re.compile(r"/?set\.[^/]*/[^/]*$")
_LOOKED_UP = ("energy", "forces", "stress", "virial", "charge", "spin", "group", "split")


@dataclass(frozen=True, kw_only=True)
class NamedPart(Part):
    """A piece of a file.

    Attributes:
        name: of the file below the raw folder, the same on every machine.
    """

    name: str


class GenericAdapter(Adapter):
    """Reader of extended XYZ, ASE databases and trajectories, *.aselmdb, DeePMD and ASE's formats.

    A record that lacks something that the keys name is left out and counted, except a stress of
    what is not a crystal. Nothing is looked for under another name.

    Raises:
        ValueError: the card has no keys, or states no unit for what they name.
    """

    def __init__(self, card: Card) -> None:
        super().__init__(card)
        if card.keys is None:
            raise ValueError(f"card of {card.branch!r} has no [keys]")
        self.keys: Keys = card.keys
        _check_labels(card, card.keys)

    def files(self, raw: Path) -> list[Path]:
        """Files that the card names; where it names none, those of a known format."""
        return find_files(raw, [file.name for file in self.card.files] or RECOGNIZED)

    def parts(self, raw: Path) -> list[Part]:
        """Ranges of records of each file.

        Raises:
            ValueError: there are no files.
            DataError: a file is damaged, or no record of any file has something the keys name.
        """
        raw = Path(raw)
        parts: list[Part] = []
        for path in self.files(raw):
            name = path.relative_to(raw).as_posix() if raw.is_dir() else path.name
            parts += [
                NamedPart(path=part.path, start=part.start, stop=part.stop, name=name)
                for part in record_parts(path)
            ]
        self._find_keys(raw, parts)
        return parts

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every record that has what the keys name."""
        file = part.name if isinstance(part, NamedPart) else part.path.name
        for record in records_of(part):
            with reading(part.path, f"record {record.name}"):
                missing = self._missing(record)
                if missing:
                    self.dropped[f"no {missing[0]}"] += 1
                else:
                    yield self.converted(self._structure(file, record))

    def _find_keys(self, raw: Path, parts: list[Part]) -> None:
        """Read until every key was seen once, which is the first record as a rule."""
        wanted, known = set(self._names().values()), set()
        for part in parts:
            for record in records_of(part):
                known |= {f"{place}:{n}" for place, v in record.values.items() for n in v}
                if wanted <= known:
                    return
        absent = ", ".join(sorted(wanted - known))
        raise DataError(f"{raw}: no record has {absent}; there are {', '.join(sorted(known))}")

    def _names(self) -> dict[str, str]:
        """Field of the keys to "place:name", of those that are looked up in a record."""
        names = {field: getattr(self.keys, field) for field in _LOOKED_UP}
        return {field: name for field, name in names.items() if name and ":" in name}

    def _missing(self, record: Record) -> list[str]:
        is_crystal = bool(record.geometry["pbc"].all())
        return [
            name
            for field, name in self._names().items()
            if _value(record, name) is None and (is_crystal or field not in {"stress", "virial"})
        ]

    def _structure(self, file: str, record: Record) -> AtomicStructure:
        keys, group, split = self.keys, self._group(file, record), self._split(file, record)
        charge = 0 if keys.charge is None else _value(record, keys.charge)
        spin = 1 if keys.spin is None else _value(record, keys.spin)
        forces = None if keys.forces is None else np.asarray(_value(record, keys.forces), float)
        return AtomicStructure(
            **record.geometry,
            energy=_number(_value(record, keys.energy), keys.energy),
            forces=forces,
            stress=self._stress(record),
            total_charge=_whole(charge, str(keys.charge)),
            spin_multiplicity=_whole(spin, str(keys.spin)),
            group=sided(group, split),
            split=split,
            source=f"{file}/{record.name}",
        )

    def _stress(self, record: Record) -> np.ndarray | None:
        """Stress in the published unit and sign; None of what is not periodic in 3 directions."""
        name = self.keys.stress or self.keys.virial
        if name is None or not record.geometry["pbc"].all() or _value(record, name) is None:
            return None
        stress = np.asarray(_value(record, name), dtype=np.float64)
        if stress.size == 9:
            stress = stress.reshape(3, 3)
        elif stress.shape == (6,) and name.startswith("calculator:"):
            stress = voigt_6_to_full_3x3_stress(stress)
        else:
            stress = self.stress_matrix(stress)
        if self.keys.virial is not None:
            stress = -stress / abs(np.linalg.det(record.geometry["cell"]))
        return stress

    def _group(self, file: str, record: Record) -> str:
        numbers = record.geometry["atomic_numbers"]
        if self.keys.group == "formula":
            return formula(numbers)
        if self.keys.group == "reduced formula":
            return reduced_formula(numbers)
        if self.keys.group == "file":  # of a DeePMD folder, all sets together
            return _SET.sub("", file) or self.card.branch
        return str(_value(record, self.keys.group))

    def _split(self, file: str, record: Record) -> str | None:
        if self.keys.split is None:
            return None
        if self.keys.split != "file":
            word = str(_value(record, self.keys.split))
            if word.lower() not in _SPLITS:
                raise ValueError(errors.unknown("split", word, _SPLITS))
            return _SPLITS[word.lower()]
        found = {_SPLITS[word] for word in _WORD_OF_SPLIT.findall(file.lower())}
        if len(found) != 1:
            raise ValueError(f"the path {file!r} says {sorted(found) or 'nothing'} of a split")
        return found.pop()


def _check_labels(card: Card, keys: Keys) -> None:
    """Units, signs and orders that the keys need are stated.

    Raises:
        ValueError: one is not.
    """
    labels, start = card.labels, f"card of {card.branch!r}: keys name"
    if keys.forces is not None and labels.forces is None:
        raise ValueError(f"{start} forces, labels state no unit of forces")
    name = keys.stress or keys.virial
    if name is not None and (labels.stress is None or labels.stress_sign is None):
        raise ValueError(f"{start} {name}, labels must state stress (unit) and stress_sign")
    units = (labels.energy, labels.length, labels.stress)
    if keys.virial is not None and units != ("eV", "Angstrom", "eV/Angstrom^3"):
        raise ValueError(
            f"{start} a virial; it is read in eV with lengths in Angstrom, as a stress in "
            f"eV/Angstrom^3, but labels state {units}"
        )


def _value(record: Record, name: str) -> Any:  # noqa: ANN401 -- whatever the file holds
    """What a record has under "place:name"; None if nothing."""
    place, _, key = name.partition(":")
    values: Mapping[str, Any] = record.values.get(place, {})
    return values.get(key)


def _number(value: Any, name: str) -> float:  # noqa: ANN401 -- whatever the file holds
    number = np.asarray(value)
    if number.size != 1 or number.dtype.kind not in "if":
        raise ValueError(f"{name} is {value!r}, expected one number")
    return float(number.item())


def _whole(value: Any, name: str) -> int:  # noqa: ANN401 -- whatever the file holds
    number = _number(value, name)
    if number != int(number):
        raise ValueError(f"{name} is {value!r}, expected a whole number")
    return int(number)

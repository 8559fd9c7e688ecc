"""Files of downstream tasks as structures, each layout read as it was published."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import ase.io
import numpy as np
from ase import Atoms

from hydracalc import elements, units
from hydracalc.downstream.task import Reader
from hydracalc.errors import DataError
from hydracalc.finetuning.data import read_labelled
from hydracalc.ingest.catalog import load_adapter
from hydracalc.readers.crystals import read_crystal
from hydracalc.readers.damage import reading
from hydracalc.readers.frame_files import Record, record_parts, records_of
from hydracalc.readers.json_stream import stream_list, stream_mapping
from hydracalc.readers.tar_texts import stream_texts
from hydracalc.structure import AtomicStructure

# a block of consecutive numbers of XSF files is a group: their makers number along trajectories
_XSF_BLOCK = 100
_XSF_ENERGY = re.compile(r"^#\s*total energy\s*=\s*(\S+)\s*eV", re.MULTILINE)
_PACKED = (".gz", ".bz2", ".xz")


def read_file(path: Path, reader: Reader) -> Iterator[AtomicStructure]:
    """Labelled structures of a file, in hydracalc's units; group and source are set.

    Raises:
        DataError: the file is damaged, not in the layout, or a structure has no energy.
        ValueError: a unit, a dataset or a place is unknown.
    """
    for structure in _LAYOUTS[reader.layout](path, reader):
        if structure.num_atoms >= reader.min_atoms:
            yield structure


def _by_adapter(path: Path, reader: Reader) -> Iterator[AtomicStructure]:
    yield from load_adapter(reader.dataset).read(path)


def _of_shards(path: Path, reader: Reader) -> Iterator[AtomicStructure]:
    yield from read_labelled(path.parent, branch="")


def _frames(path: Path, reader: Reader) -> Iterator[AtomicStructure]:
    """Records of any format; one without forces has none, one without an energy is an error."""
    energy_factor = units.factor(reader.energy_unit, "energy")
    force_factor = units.factor(reader.force_unit, "force")
    for part in record_parts(path):
        for record in records_of(part):
            with reading(path, f"record {record.name}"):
                energy, forces = _value(record, reader.energy), _value(record, reader.forces)
                if energy is None:
                    raise ValueError(f"there is no {reader.energy}")
                scaled = None if forces is None else force_factor * np.asarray(forces)
                yield AtomicStructure(
                    **record.geometry,
                    energy=energy_factor * float(energy),
                    forces=scaled,
                    group=path.name,
                    source=f"{path.name}/{record.name}",
                )


def _value(record: Record, name: str) -> Any:  # noqa: ANN401  # whatever the file holds
    place, _, key = name.partition(":")
    return record.values.get(place, {}).get(key)


def _mvl(path: Path, reader: Reader) -> Iterator[AtomicStructure]:
    """Records {structure, group, outputs} as of mlearn; the group is composition and kind.

    Stresses are left out: the order of their six numbers is not the same in all files.
    """
    for number, record in enumerate(stream_list(path, "")):
        with reading(path, f"record {number}"):
            outputs = record["outputs"]
            yield AtomicStructure(
                **vars(read_crystal(record["structure"])),
                energy=outputs["energy"],
                forces=np.asarray(outputs["forces"], dtype=np.float64),
                group=f"{record['group']} {path.stem}",
                source=f"{path.stem}/{number}",
            )


def _oxides(path: Path, reader: Reader) -> Iterator[AtomicStructure]:
    """Equations of state {oxide: {polymorph: {functional: {"EOS": {"calculations"}}}}}.

    The group is "functional: oxide polymorph".
    """
    for oxide, polymorphs in stream_mapping(path):
        for polymorph, functionals in polymorphs.items():
            for functional, found in functionals.items():
                name = f"{functional}: {oxide} {polymorph}"
                for number, calculation in enumerate(found["EOS"]["calculations"]):
                    with reading(path, f"{name}, calculation {number}"):
                        yield _calculation(calculation, name, number)


def _calculation(found: Mapping[str, Any], group: str, number: int) -> AtomicStructure:
    atoms, data = found["atoms"], found["data"]
    return AtomicStructure(
        atomic_numbers=np.array([elements.number(symbol) for symbol in atoms["symbols"]]),
        positions=np.asarray(atoms["positions"], dtype=np.float64),
        cell=np.asarray(atoms["cell"], dtype=np.float64),
        pbc=np.asarray(atoms["pbc"], dtype=bool),
        energy=float(data["total_energy"]),
        forces=np.asarray(data["forces"], dtype=np.float64),
        group=group,
        source=f"{group}/{number}",
    )


def _xsf(path: Path, reader: Reader) -> Iterator[AtomicStructure]:
    """Files of an archive or one file, in order of the numbers in their names."""
    is_packed = path.suffix in _PACKED
    texts = dict(stream_texts(path)) if is_packed else {path.name: path.read_text()}
    named = {name: text for name, text in texts.items() if name.endswith(".xsf")}
    for name in sorted(named, key=_number_in):
        with reading(path, name):
            yield _xsf_structure(named[name], name)


def _xsf_structure(text: str, name: str) -> AtomicStructure:
    energy = _XSF_ENERGY.search(text)
    if energy is None:
        raise ValueError("no line '# total energy = ... eV'")
    atoms = cast(Atoms, ase.io.read(io.StringIO(text), format="xsf", parallel=False))
    return AtomicStructure(
        atomic_numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=atoms.pbc,
        energy=float(energy[1]),
        forces=_xsf_forces(atoms),
        group=f"block {_number_in(name) // _XSF_BLOCK}",
        source=Path(name).stem,
    )


def _xsf_forces(atoms: Atoms) -> np.ndarray | None:
    """Forces as they stand in the file, eV/Angstrom; ASE takes them for Hartree/Angstrom."""
    forces = None if atoms.calc is None else atoms.calc.results.get("forces")
    return None if forces is None else forces / units.factor("Hartree", "energy")


def _number_in(name: str) -> int:
    digits = re.findall(r"\d+", Path(name).stem)
    if not digits:
        raise DataError(f"{name}: no number in the name")
    return int(digits[-1])


_LAYOUTS: dict[str, Callable[[Path, Reader], Iterator[AtomicStructure]]] = {
    "dataset": _by_adapter,
    "frames": _frames,
    "shards": _of_shards,
    "mvl": _mvl,
    "oxides": _oxides,
    "xsf": _xsf,
}


def without_split(structure: AtomicStructure, branch: str) -> AtomicStructure:
    """The structure as one of a branch, its published split forgotten."""
    return replace(structure, branch=branch, split=None)

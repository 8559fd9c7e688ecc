"""Files of labelled structures in any format: what a record holds and by what name.

Every format is read into the same `Record`, so that a card's [keys] mean the same in all of them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms
from ase.io.trajectory import TrajectoryReader

from hydracalc.errors import DataError
from hydracalc.readers import ase_sqlite, aselmdb
from hydracalc.readers.aselmdb import Row, array
from hydracalc.readers.damage import reading
from hydracalc.readers.deepmd import COORDINATES, frames_of, set_parts
from hydracalc.readers.extxyz_parts import extxyz_frames, extxyz_parts
from hydracalc.readers.parts import Part

# files that are looked for where a card names none
RECOGNIZED = (
    *(f"**/*{name}{packed}" for name in (".extxyz", ".xyz") for packed in ("", ".gz", ".bz2")),
    "**/*.db",
    "**/*.aselmdb",
    "**/*.traj",
    f"**/set.*/{COORDINATES}",
)

_RECORDS_PER_PART = 5000
_GEOMETRY = ("atomic_numbers", "positions", "cell", "pbc")
_RESULTS = ("energy", "free_energy", "forces", "stress", "charges", "magmoms", "magmom", "dipole")


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """A structure as a file holds it, and everything else that the file says of it.

    Attributes:
        name: of the record in its file.
        geometry: atomic_numbers, positions, cell and pbc, as in `AtomicStructure`.
        values: place to name to value; places are those of `hydracalc.card.Keys`.
    """

    name: str
    geometry: Mapping[str, Any]
    values: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class _Format:
    parts: Callable[[Path], list[Part]]
    records: Callable[[Part], Iterator[Record]]


def record_parts(path: Path) -> list[Part]:
    """Pieces of a file, ranges of records.

    Raises:
        DataError: the file is damaged or empty.
    """
    return _format(path).parts(path)


def records_of(part: Part) -> Iterator[Record]:
    """Records of a piece.

    Raises:
        DataError: the file is damaged or of no known format.
    """
    yield from _format(part.path).records(part)


def _format(path: Path) -> _Format:
    """How a file is read, by its name."""
    if path.name == COORDINATES:
        return _Format(set_parts, _deepmd_records)
    plain = path.with_suffix("") if path.suffix in {".gz", ".bz2", ".xz"} else path
    if plain.suffix in {".extxyz", ".xyz"}:
        return _Format(extxyz_parts, _extxyz_records)
    return _FORMATS.get(path.suffix, _Format(lambda path: [Part(path=path)], _other_records))


def _ranges(path: Path, start: int, stop: int) -> list[Part]:
    if start == stop:
        raise DataError(f"{path}: holds no structure")
    step = _RECORDS_PER_PART
    starts = range(start, stop, step)
    return [Part(path=path, start=first, stop=min(first + step, stop)) for first in starts]


def _extxyz_records(part: Part) -> Iterator[Record]:
    for number, atoms in extxyz_frames(part):
        yield _record(number, atoms)


def _trajectory_parts(path: Path) -> list[Part]:
    with reading(path), TrajectoryReader(path) as frames:
        return _ranges(path, 0, len(frames))


def _trajectory_records(part: Part) -> Iterator[Record]:
    with reading(part.path), TrajectoryReader(part.path) as frames:
        for number in range(len(frames))[part.start : part.stop]:
            with reading(part.path, f"frame {number}"):
                atoms = frames[number]
            yield _record(number, atoms)


def _database_records(part: Part) -> Iterator[Record]:
    for row in ase_sqlite.rows_of(part):
        results = {name: getattr(row, name) for name in ("energy", "forces", "stress", "charge")}
        yield Record(
            name=str(row.number),
            geometry={name: getattr(row, name) for name in _GEOMETRY},
            values={
                "calculator": {name: value for name, value in results.items() if value is not None},
                "info": row.key_value_pairs,
                "data": row.data,
            },
        )


def _aselmdb_records(part: Part) -> Iterator[Record]:
    for number, row in aselmdb.rows_of(part):
        with reading(part.path, f"row {number}"):
            yield Record(
                name=str(number),
                geometry={
                    "atomic_numbers": array(row["numbers"]),
                    "positions": array(row["positions"]),
                    "cell": array(row["cell"]).reshape(3, 3),
                    "pbc": array(row["pbc"]).astype(bool),
                },
                values={
                    "calculator": _decoded(row, _RESULTS),
                    "info": _decoded(row.get("key_value_pairs") or {}),
                    "data": _decoded(row.get("data") or {}),
                },
            )


def _decoded(row: Row, names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Entries of a row, arrays decoded; those that are absent or null left out."""
    chosen = row if names is None else {name: row.get(name) for name in names}
    return {
        name: array(value) if isinstance(value, dict) and "__ndarray__" in value else value
        for name, value in chosen.items()
        if value is not None
    }


def _deepmd_records(part: Part) -> Iterator[Record]:
    for frame in frames_of(part):
        yield Record(
            name=str(frame.number),
            geometry={
                name: getattr(frame, name)
                for name in ("atomic_numbers", "positions", "cell", "pbc")
            },
            values={"npy": frame.arrays},
        )


def _other_records(part: Part) -> Iterator[Record]:
    """Whatever ASE reads, such as outputs of programs."""
    number = -1
    try:
        frames = ase.io.iread(part.path, ":", parallel=False, do_not_split_by_at_sign=True)
        for number, atoms in enumerate(frames):
            yield _record(number, atoms)
    except FileNotFoundError:
        raise
    except Exception as error:  # each of ASE's many readers fails in its own way
        reason = str(error) or type(error).__name__
        raise DataError(f"{part.path}, after {number + 1} structures: {reason}") from error
    if number < 0:
        raise DataError(f"{part.path}: holds no structure")


def _record(number: int, atoms: Atoms) -> Record:
    return Record(
        name=str(number),
        geometry={
            "atomic_numbers": atoms.numbers,
            "positions": atoms.positions,
            "cell": atoms.cell.array,
            "pbc": atoms.pbc,
        },
        values={
            "calculator": {} if atoms.calc is None else atoms.calc.results,
            "info": atoms.info,
            "arrays": {n: v for n, v in atoms.arrays.items() if n not in {"numbers", "positions"}},
        },
    )


_FORMATS = {
    ".aselmdb": _Format(lambda path: aselmdb.row_parts([path]), _aselmdb_records),
    ".db": _Format(lambda path: ase_sqlite.row_parts([path]), _database_records),
    ".traj": _Format(_trajectory_parts, _trajectory_records),
}

"""Structures from files and shards, one at a time: what cannot be read is named and passed over.

Pieces follow from the files alone, so results do not depend on how many processes read them.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import cast

import ase.io
from ase import Atoms

from hydracalc.errors import DataError
from hydracalc.ingest.pieces import make_pieces
from hydracalc.inputs import StructureLike, as_structure
from hydracalc.readers.extxyz_parts import extxyz_texts
from hydracalc.readers.frame_files import Record, record_parts, records_of
from hydracalc.readers.parts import Part
from hydracalc.shards.manifest import FILE_NAME, read_manifest
from hydracalc.shards.reader import Shards, open_shards
from hydracalc.structure import AtomicStructure, from_atoms

# structures of shards in one piece, and read at once
_SHARD_PIECE = 5000
_READ_AT_ONCE = 256
# small files are put together until they are of this size
_PIECE_BYTES = 2**18
_PACKED = {".gz", ".bz2", ".xz"}
_XYZ = {".xyz", ".extxyz"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A structure, or why there is none.

    Attributes:
        name: where it is from, "FILE:NUMBER".
        structure: None where it cannot be read.
        message: what is wrong with it.
    """

    name: str
    structure: AtomicStructure | None = None
    message: str = ""


_Later = Callable[[], Found]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one process reads at a time, in one go.

    Attributes:
        number: of the piece, in the order of the input.
        parts: of files, or one range of structures of shards.
        is_shards: which of the two.
    """

    number: int
    parts: tuple[Part, ...]
    is_shards: bool


def find_pieces(paths: Sequence[Path]) -> list[Piece]:
    """Pieces of the input, in its order.

    Args:
        paths: files in any format, folders of shards, or folders of which every file is meant.

    Raises:
        ValueError: there is no such path, one is given twice, or a folder is empty.
        DataError: the manifest of shards is damaged.
    """
    pieces: list[tuple[tuple[Part, ...], bool]] = []
    waiting: list[Part] = []
    for path in _each_once(paths):
        if not _is_shards(path):
            waiting += _parts(path)
            continue
        pieces += [(parts, False) for parts in make_pieces(waiting, _PIECE_BYTES)]
        waiting = []
        total = sum(read_manifest(path).num_structures.values())
        pieces += [
            ((Part(path=path, start=start, stop=min(start + _SHARD_PIECE, total)),), True)
            for start in range(0, total, _SHARD_PIECE)
        ]
    pieces += [(parts, False) for parts in make_pieces(waiting, _PIECE_BYTES)]
    return [
        Piece(number=number, parts=parts, is_shards=is_shards)
        for number, (parts, is_shards) in enumerate(pieces)
    ]


def read_piece(piece: Piece, *, skip: int = 0) -> Iterator[Found]:
    """Structures of a piece in their order; equal files give equal sequences.

    Args:
        piece: of `find_pieces`.
        skip: how many to leave out at the start, cheaply.

    Raises:
        DataError: shards are damaged.
    """
    if piece.is_shards:
        yield from _from_shards(piece.parts[0], skip)
        return
    for later in islice(chain.from_iterable(map(_records, piece.parts)), skip, None):
        yield later()


def name_structures(structures: Iterable[StructureLike]) -> Iterator[Found]:
    """Structures from memory, under their own names or else their numbers.

    Raises:
        TypeError: one is no structure at all.
    """
    for number, given in enumerate(structures):
        try:
            structure = as_structure(given, source=str(number))
        except ValueError as error:
            yield Found(name=str(number), message=str(error))
        else:
            yield Found(name=structure.source or str(number), structure=structure)


def _each_once(paths: Sequence[Path]) -> Iterator[Path]:
    """The paths, and files instead of folders of files."""
    seen = set()
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path}: there is no such file or folder")
        found = [path]
        if path.is_dir() and not _is_shards(path):
            found = sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] != ".")
            if not found:
                raise ValueError(f"{path}: the folder holds no file")
        for each in found:
            if each.resolve() in seen:
                raise ValueError(f"{each}: is given twice")
            seen.add(each.resolve())
            yield each


def _is_shards(path: Path) -> bool:
    return (path / FILE_NAME).is_file() or any(path.glob("shard-*.bp"))


def _parts(path: Path) -> list[Part]:
    try:
        return record_parts(path)
    except DataError:  # read as far as possible; what is wrong is told where it is met
        return [Part(path=path)]


def _from_shards(part: Part, skip: int) -> Iterator[Found]:
    shards, stop = _opened(part.path), cast(int, part.stop)
    for start in range(part.start + skip, stop, _READ_AT_ONCE):
        indices = range(start, min(start + _READ_AT_ONCE, stop))
        for index, structure in zip(indices, shards.read(indices), strict=True):
            yield Found(name=f"{part.path}:{index}", structure=structure)


@lru_cache(maxsize=2)
def _opened(path: Path) -> Shards:
    """Shards that every file was compared with the manifest of, once in a process."""
    return open_shards(path)


def _records(part: Part) -> Iterator[_Later]:
    """What becomes a structure when it is called, so that it is cheap to pass over."""
    plain = part.path.with_suffix("") if part.path.suffix in _PACKED else part.path
    return _xyz_frames(part) if plain.suffix in _XYZ else _other_records(part)


def _xyz_frames(part: Part) -> Iterator[_Later]:
    """Frames of extended XYZ; a broken frame is one, unless the next cannot be found."""
    path, following = part.path, part.start
    try:
        for number, text in extxyz_texts(part):
            yield partial(_parsed, f"{path}:{number}", text)
            following = number + 1
    except (DataError, OSError) as error:
        yield partial(_broken, f"{path}:{following}", f"{error}; nothing behind it can be read")


def _other_records(part: Part) -> Iterator[_Later]:
    """Records of other formats; where they have numbers, those behind a broken one are read."""
    last, told = part.start - 1, ""
    while part.stop is None or last + 1 < part.stop:
        try:
            for record in records_of(replace(part, start=last + 1)):
                last = int(record.name)
                yield partial(_structure, f"{part.path}:{record.name}", record)
            return
        except (DataError, OSError) as error:
            last += 1
            if str(error) != told:  # the same again: its number was not reached yet
                told = str(error)
                yield partial(_broken, f"{part.path}:{last}", told)
            if part.stop is None:
                return


def _parsed(name: str, text: str) -> Found:
    """The structure of one frame of extended XYZ."""
    return _made(name, lambda: _one_frame(text))


def _structure(name: str, record: Record) -> Found:
    """The structure of a record."""
    info = {key: record.values.get("info", {}).get(key) for key in ("charge", "spin")}
    return _made(name, lambda: _atoms(record, info))


def _one_frame(text: str) -> Atoms:
    return cast(Atoms, ase.io.read(io.StringIO(text), format="extxyz", parallel=False))


def _atoms(record: Record, info: dict[str, object]) -> Atoms:
    geometry = dict(record.geometry)
    known = {key: value for key, value in info.items() if value is not None}
    return Atoms(numbers=geometry.pop("atomic_numbers"), info=known, **geometry)


def _made(name: str, make: Callable[[], Atoms]) -> Found:
    try:
        return Found(name=name, structure=from_atoms(make(), source=name))
    except Exception as error:  # noqa: BLE001  # each of ASE's readers raises what it likes
        return Found(name=name, message=str(error) or type(error).__name__)


def _broken(name: str, message: str) -> Found:
    return Found(name=name, message=message)

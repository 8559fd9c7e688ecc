"""ASE databases in SQLite files, *.db, read row by row and never written to.

ASE itself opens such a file for writing and turns an empty one into a database. A row of the table
`systems` holds the atoms as arrays of bytes, `key_value_pairs` as JSON, and `data`, the publisher's
own entries: JSON with arrays before it in the same bytes (ASE 3.20 and later), or JSON alone.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part

_PART_BYTES = 32 * 2**20
_LARGEST_ID = 2**63 - 1
_MAGIC = b"SQLite format 3\0"
_COLUMNS = (
    "id, numbers, positions, cell, pbc, energy, forces, stress, charge, key_value_pairs, data"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One row, with the numbers of the file.

    Attributes:
        number: its id.
        atomic_numbers: (N,).
        positions: (N, 3).
        cell: lattice vectors as rows, (3, 3).
        pbc: bool, (3,).
        energy, forces, stress, charge: of the calculator ASE stored, (), (N, 3), (6,), (); None
            where it stored none.
        key_value_pairs: names to numbers, texts or booleans.
        data: names to whatever the publisher put there.
    """

    number: int
    atomic_numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    energy: float | None
    forces: np.ndarray | None
    stress: np.ndarray | None
    charge: float | None
    key_value_pairs: Mapping[str, Any]
    data: Mapping[str, Any]


def row_parts(files: Sequence[Path], *, part_bytes: int = _PART_BYTES) -> list[Part]:
    """Pieces of databases, ranges of ids.

    Args:
        files: *.db files.
        part_bytes: of each piece, if all rows were equally large.

    Raises:
        DataError: a file is damaged, no such database, or it has no row.
    """
    parts = []
    for path in files:
        with reading(path), _connection(path) as database:
            first, last = database.execute("SELECT min(id), max(id) FROM systems").fetchone()
            if last is None:
                raise ValueError("there is no row in it")
        step = max(1, int((last + 1 - first) * part_bytes / path.stat().st_size))
        parts += [
            Part(path=path, start=start, stop=min(start + step, last + 1))
            for start in range(first, last + 1, step)
        ]
    return parts


def rows_of(part: Part) -> Iterator[Row]:
    """Rows of a piece in the order of their ids.

    Raises:
        DataError: the file is damaged or not in the published layout; the message names the row.
    """
    stop = _LARGEST_ID if part.stop is None else part.stop
    query = f"SELECT {_COLUMNS} FROM systems WHERE id >= ? AND id < ? ORDER BY id"
    with reading(part.path), _connection(part.path) as database:
        for values in database.execute(query, (part.start, stop)):
            with reading(part.path, f"row {values[0]}"):
                row = _row(values)
            yield row


def metadata_of(path: Path) -> Mapping[str, Any]:
    """What the publisher stored for the whole database, `db.metadata` in ASE; may be empty.

    Raises:
        DataError: the file is damaged or no such database.
    """
    query = "SELECT value FROM information WHERE name = 'metadata'"
    with reading(path), _connection(path) as database:
        found = database.execute(query).fetchone()
        metadata = {} if found is None else json.loads(found[0])
        if not isinstance(metadata, dict):
            raise ValueError("its metadata is no JSON object")
        return metadata


@contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    """An open database; what SQLite finds wrong with it is raised as ValueError.

    It is opened as a file that nothing changes, so that no locks are taken: not every file system
    of a cluster has them.
    """
    _verify_size(path)
    uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    database = None
    try:
        database = sqlite3.connect(uri, uri=True)
        yield database
    except sqlite3.Error as error:
        raise ValueError(f"SQLite: {error}") from error
    finally:
        if database is not None:
            database.close()


def _verify_size(path: Path) -> None:
    """Compare a file with the number of pages it states; SQLite lets half a page pass.

    Raises:
        ValueError: it is no database, or shorter than its first page says.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_MAGIC) or len(header) < 100:
        raise ValueError("it does not begin as a SQLite database does")
    page, counter, count, valid_for = (
        int.from_bytes(header[start : start + length], "big")
        for start, length in ((16, 2), (24, 4), (28, 4), (92, 4))
    )
    expected = count * (65536 if page == 1 else page)
    size = path.stat().st_size
    if counter == valid_for and size < expected:  # else an old version of SQLite wrote it last
        raise ValueError(f"it has {size} of {expected} bytes")


def _row(values: Sequence[Any]) -> Row:
    number, numbers, positions, cell, pbc, energy, forces, stress, charge, pairs, data = values
    return Row(
        number=number,
        atomic_numbers=np.frombuffer(numbers, "<i4").astype(np.int64),
        positions=np.frombuffer(positions, "<f8").reshape(-1, 3),
        cell=np.frombuffer(cell, "<f8").reshape(3, 3),
        pbc=(int(pbc) & np.array([1, 2, 4])).astype(bool),
        energy=energy,
        forces=None if forces is None else np.frombuffer(forces, "<f8").reshape(-1, 3),
        stress=None if stress is None else np.frombuffer(stress, "<f8"),
        charge=charge,
        key_value_pairs=json.loads(pairs) if pairs else {},
        data=_entries(data),
    )


def _entries(data: bytes | str | None) -> Mapping[str, Any]:
    """The entries of the column `data`, in either form."""
    if not data or data == "null":
        return {}
    if isinstance(data, str):
        entries = _decoded(json.loads(data), None)
    else:
        offset = int.from_bytes(data[:8], "little")
        entries = _decoded(json.loads(data[offset:].decode()), data)
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise ValueError(f"data is {type(entries).__name__}, expected entries with names")
    return entries


def _decoded(value: Any, content: bytes | None) -> Any:  # noqa: ANN401 -- any JSON
    """A JSON value with its arrays in place, which are bytes of `content` or flat lists."""
    if isinstance(value, list):
        return [_decoded(entry, content) for entry in value]
    if not isinstance(value, dict):
        return value
    if "__ndarray__" not in value:
        return {key: _decoded(entry, content) for key, entry in value.items()}
    shape, name, flat = value["__ndarray__"]
    dtype = np.dtype(name)
    if dtype.kind not in "biufc":
        raise ValueError(f"an array of {name} is not read, only one of numbers")
    if content is None:
        return np.array(flat, dtype).reshape(shape)
    count = int(np.prod(shape))
    return np.frombuffer(content, dtype.newbyteorder("<"), count, flat).reshape(shape)

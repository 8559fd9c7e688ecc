"""ASE databases in LMDB files, *.aselmdb, read without the package that writes them.

Rows are under the keys "1", "2", ...; "nextid" is the first number that is free and "deleted_ids"
lists those that are not. A value is JSON, compressed by zlib: a dictionary with numbers, positions,
cell, pbc, the labels, and `data`, the publisher's own entries. An array is either a list or
{"__ndarray__": [shape, type, flat list]}.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from hydracalc.readers.damage import reading
from hydracalc.readers.lmdb_pages import LmdbFile
from hydracalc.readers.parts import Part

ROWS_PER_PART = 20_000

Row = Mapping[str, Any]


def row_parts(files: Sequence[Path], *, rows_per_part: int = ROWS_PER_PART) -> list[Part]:
    """Pieces of databases, ranges of row numbers.

    Args:
        files: *.aselmdb files.
        rows_per_part: row numbers in each piece, some of which may be deleted.

    Raises:
        DataError: a file is truncated, damaged or no such database.
    """
    parts = []
    for path in files:
        with reading(path), LmdbFile(path) as file:
            stop, _ = _numbers(file)
        parts += [
            Part(path=path, start=start, stop=min(start + rows_per_part, stop))
            for start in range(1, stop, rows_per_part)
        ]
    return parts


def rows_of(part: Part) -> Iterator[tuple[int, Row]]:
    """Numbers and dictionaries of the rows of a piece; deleted rows are passed over.

    Raises:
        DataError: the file is damaged, or a row is missing; the message names the row.
    """
    with reading(part.path), LmdbFile(part.path) as file:
        end, deleted = _numbers(file)
        stop = end if part.stop is None else min(part.stop, end)
        for number in range(max(part.start, 1), stop):
            if number not in deleted:
                with reading(part.path, f"row {number}"):
                    row = _entry(file, str(number))
                    if not isinstance(row, dict):
                        raise ValueError("the row is missing" if row is None else "no row")
                yield number, row


def array(value: Any) -> np.ndarray:  # noqa: ANN401 -- whatever the JSON holds
    """An array as a row holds it.

    Raises:
        ValueError: it is neither a list of numbers nor an encoded array.
    """
    if isinstance(value, dict):
        if set(value) != {"__ndarray__"}:
            raise ValueError(f"an array is encoded as {sorted(value)}, expected __ndarray__")
        shape, kind, flat = value["__ndarray__"]
        value = np.asarray(flat, dtype=_number_type(kind)).reshape(shape)
    content = np.asarray(value)
    if content.dtype.kind not in "bif":
        raise ValueError(f"an array holds {content.dtype}, expected numbers")
    return content


def _number_type(kind: str) -> np.dtype:
    dtype = np.dtype(kind)
    if dtype.kind not in "biuf":
        raise ValueError(f"an array holds {kind}, expected numbers")
    return np.dtype(np.int64) if dtype.kind == "u" else dtype


def _numbers(file: LmdbFile) -> tuple[int, set[int]]:
    """First row number that is not in use, and the smaller ones that are not either."""
    end, deleted = _entry(file, "nextid"), _entry(file, "deleted_ids") or []
    if not isinstance(end, int) or end < 1:
        raise ValueError(f"no ASE database: nextid is {end!r}, expected a number from 1")
    if not isinstance(deleted, list) or end - 1 - len(deleted) > file.num_entries:
        raise ValueError(f"nextid is {end}, but the file has {file.num_entries} entries")
    return end, set(deleted)


def _entry(file: LmdbFile, key: str) -> Any:  # noqa: ANN401 -- whatever the JSON holds
    value = file.value(key.encode())
    if value is None:
        return None
    text = zlib.decompress(value)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # ASE's own writer puts NaN, which is no JSON
        return json.loads(text)

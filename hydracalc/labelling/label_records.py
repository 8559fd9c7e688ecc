"""What is written down while structures are labelled, so that a killed run loses one label at most.

A record file is only ever appended to: one line each, a checksum and JSON. Its numbers come back
to the last bit. A line that was cut by a kill, or damaged since, is as if it had not been written.
"""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from hydracalc.structure import AtomicStructure

_ARRAYS = ("atomic_numbers", "positions", "cell", "pbc", "forces", "stress")
_VALUES = ("total_charge", "spin_multiplicity", "energy", "branch", "group", "source")
_CHECKSUM_BYTES = 8


def encode_record(record: Mapping[str, Any]) -> bytes:
    """A record as a line."""
    text = orjson.dumps(dict(record), option=orjson.OPT_SERIALIZE_NUMPY)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode_record(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None if it is damaged or not whole."""
    text = line[_CHECKSUM_BYTES + 1 : -1]
    if line != b"%08x %s\n" % (zlib.crc32(text), text):
        return None
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole record of a file, in order; none where there is no file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            record = decode_record(line)
            if record is not None:
                yield record


def open_for_append(path: Path) -> IO[bytes]:
    """A record file to go on with: what comes next begins on a line of its own."""
    file = path.open("ab+")
    if file.tell():
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def append_record(file: IO[bytes], record: Mapping[str, Any]) -> None:
    """Add a record and hand it to the system, where a kill cannot reach it."""
    file.write(encode_record(record))
    file.flush()


def structure_to_record(structure: AtomicStructure) -> dict[str, Any]:
    """A structure as JSON; absent labels are null."""
    record: dict[str, Any] = {name: getattr(structure, name) for name in _VALUES}
    for name in _ARRAYS:
        value = getattr(structure, name)
        record[name] = None if value is None else np.ascontiguousarray(value)
    return record


def structure_from_record(record: Mapping[str, Any]) -> AtomicStructure:
    """The structure of a record, bit for bit.

    Raises:
        KeyError: the record is not of a structure.
        ValueError: an array has a wrong shape.
    """
    values = {name: record[name] for name in _VALUES}
    for name in _ARRAYS:
        values[name] = None if record[name] is None else np.array(record[name])
    return AtomicStructure(**values)

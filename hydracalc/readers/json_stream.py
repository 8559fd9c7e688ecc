"""JSON files of any size, one entry at a time: MPtrj's 12 GB need the memory of one material."""

import bz2
import gzip
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import ijson

from hydracalc.readers.damage import reading


def open_bytes(path: Path) -> IO[bytes]:
    """A file as bytes, decompressed on the way where its name ends in .gz, .bz2 or .xz."""
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    if path.suffix == ".bz2":
        return bz2.open(path)
    if path.suffix == ".xz":
        return lzma.open(path)
    return path.open("rb")


def stream_list(path: Path, prefix: str) -> Iterator[Any]:
    """Entries of a list inside a JSON file.

    Args:
        path: plain, .gz or .bz2.
        prefix: where the list is; "entries" for {"entries": [...]}, "" for a file that is a list.

    Raises:
        DataError: the file is truncated or no JSON.
    """
    where = f"{prefix}.item" if prefix else "item"
    with reading(path), open_bytes(path) as file:
        yield from ijson.items(file, where, use_float=True)


def stream_mapping(path: Path, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values of an object inside a JSON file.

    Args:
        path: plain, .gz or .bz2.
        prefix: where the object is; "" for the file's own.

    Raises:
        DataError: the file is truncated or no JSON.
    """
    with reading(path), open_bytes(path) as file:
        yield from ijson.kvitems(file, prefix, use_float=True)


def first_key(path: Path) -> str:
    """The first key of a file that is one JSON object, without reading further.

    Raises:
        DataError: the file is damaged or holds something else.
    """
    with reading(path), open_bytes(path) as file:
        for event, value in ijson.basic_parse(file):
            if event == "map_key":
                return str(value)
        raise ValueError("expected a JSON object")

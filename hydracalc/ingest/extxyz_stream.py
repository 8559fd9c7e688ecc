"""Extended XYZ files of any size, one frame at a time, also compressed."""

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import cast

import ase.io

from hydracalc.errors import DataError
from hydracalc.ingest.damage import reading
from hydracalc.ingest.json_stream import open_bytes


def stream_extxyz(path: Path) -> Iterator[ase.Atoms]:
    """Frames of an extended XYZ file, plain, .gz or .bz2, with their labels.

    Frames are cut here and parsed by ASE one by one: ASE seeks back in the file, which takes a
    compressed one from its start each time.

    Raises:
        DataError: the file is truncated, has no frame or is no extended XYZ.
    """
    number = 0
    with reading(path), open_bytes(path) as file, io.TextIOWrapper(file, "utf-8") as lines:
        while first := lines.readline():
            with reading(path, f"frame {number}"):
                length = int(first) + 1  # the comment and one line per atom
                frame = list(islice(lines, length))
                if len(frame) < length or not frame[-1].endswith("\n"):
                    raise ValueError(f"ends after {len(frame)} of {length} lines")
                text = io.StringIO(first + "".join(frame))
                yield cast(ase.Atoms, ase.io.read(text, format="extxyz"))
            number += 1
    if number == 0:
        raise DataError(f"{path}: holds no frame")

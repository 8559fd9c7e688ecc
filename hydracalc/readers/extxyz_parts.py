"""Ranges of frames of extended XYZ files, so that one large file is read by many processes."""

import io
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, cast

import ase.io

from hydracalc.errors import DataError
from hydracalc.readers.damage import reading
from hydracalc.readers.json_stream import open_bytes
from hydracalc.readers.parts import Part

FRAMES_PER_PART = 5000
_MOST_PARTS = 32  # every part passes over those before it, which costs a little each
_PACKED = {".gz", ".bz2", ".xz"}


def extxyz_parts(path: Path, *, frames_per_part: int = FRAMES_PER_PART) -> list[Part]:
    """Ranges of frames of a plain file; a compressed one is a single part.

    Args:
        path: of the file.
        frames_per_part: at least so many frames in each.

    Raises:
        DataError: the file has no frame, or something that is not one.
    """
    if path.suffix in _PACKED:
        return [Part(path=path)]
    count = 0
    with reading(path), path.open("rb") as file:
        while _pass_over(path, file, count):
            count += 1
    if count == 0:
        raise DataError(f"{path}: holds no frame")
    step = max(frames_per_part, -(-count // _MOST_PARTS))
    starts = range(0, count, step)
    return [Part(path=path, start=start, stop=min(start + step, count)) for start in starts]


def extxyz_texts(part: Part) -> Iterator[tuple[int, str]]:
    """Numbers and texts of the frames of a part, not parsed.

    Raises:
        DataError: the file is truncated, or has no frame.
    """
    path, number = part.path, 0
    with reading(path), open_bytes(path) as file:
        while number < part.start and _pass_over(path, file, number):
            number += 1
        while part.stop is None or number < part.stop:
            with reading(path, f"frame {number}"):
                text = _frame_text(file)
            if not text:
                break
            yield number, text
            number += 1
    if number == part.start:
        raise DataError(f"{path}: holds no frame {number}")


def extxyz_frames(part: Part) -> Iterator[tuple[int, ase.Atoms]]:
    """Numbers and frames of a part, with their labels.

    Raises:
        DataError: the file is truncated, has no frame or is no extended XYZ.
    """
    for number, text in extxyz_texts(part):
        with reading(part.path, f"frame {number}"):
            atoms = ase.io.read(io.StringIO(text), format="extxyz", parallel=False)
        yield number, cast(ase.Atoms, atoms)


def stream_extxyz(path: Path) -> Iterator[ase.Atoms]:
    """All frames of a file, plain or compressed.

    Raises:
        DataError: the file is truncated, has no frame or is no extended XYZ.
    """
    for _, atoms in extxyz_frames(Part(path=path)):
        yield atoms


def _pass_over(path: Path, file: IO[bytes], number: int) -> bool:
    """Go to the end of a frame; False at the end of the file."""
    with reading(path, f"frame {number}"):
        first = file.readline()
        if first:
            deque(islice(file, int(first) + 1), maxlen=0)
    return bool(first)


def _frame_text(file: IO[bytes]) -> str:
    """Text of the next frame, empty at the end of the file."""
    first = file.readline()
    if not first:
        return ""
    length = int(first) + 1  # the comment and one line per atom
    lines = list(islice(file, length))
    if len(lines) < length or not lines[-1].endswith(b"\n"):
        raise ValueError(f"ends after {len(lines)} of {length} lines")
    return (first + b"".join(lines)).decode()

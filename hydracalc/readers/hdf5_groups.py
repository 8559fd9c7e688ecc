"""HDF5 files with a group for every molecule or reaction, read in pieces of some groups each."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py

from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part

_MOST_GROUPS = 256
_PART_BYTES = 32 * 2**20

Names = Callable[[h5py.File], Sequence[str]]


def group_parts(
    files: Sequence[Path], names: Names = list, *, part_bytes: int = _PART_BYTES
) -> list[Part]:
    """Pieces of HDF5 files, some groups each; only the names of the groups are read.

    Args:
        files: paths of the files.
        names: groups of a file in reading order; by default those at its top.
        part_bytes: of each piece, if all groups were equally large.

    Raises:
        DataError: a file is no HDF5, or it has no group.
    """
    parts = []
    for path in files:
        with reading(path), h5py.File(path) as file:
            count = len(names(file))
            if not count:
                raise ValueError("there is no group in it")
        fitting = int(count * part_bytes / path.stat().st_size)
        step = max(1, min(fitting, _MOST_GROUPS))
        starts = range(0, count, step)
        stops = [min(start + step, count) for start in starts]
        parts += [
            Part(path=path, start=start, stop=stop)
            for start, stop in zip(starts, stops, strict=True)
        ]
    return parts


def groups_of(part: Part, names: Names = list) -> Iterator[tuple[str, h5py.Group]]:
    """Names and groups of a piece.

    Use the groups while iterating: the file is closed after the last.

    Raises:
        DataError: the file is damaged or not in the published layout.
    """
    with reading(part.path), h5py.File(part.path) as file:
        for name in list(names(file))[part.start : part.stop]:
            yield name, file[name]

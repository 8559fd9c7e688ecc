"""HDF5 files with a group for each number of atoms and many rows in it, read in ranges of rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from hydracalc import elements
from hydracalc.ingest.conformers import row_blocks
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part

_PART_BYTES = 32 * 2**20
_ATOM_BYTES = 48  # a position and a force


def row_parts(
    files: Sequence[Path], positions: str, *, part_bytes: int = _PART_BYTES
) -> list[Part]:
    """Pieces of HDF5 files, rows counted through their groups; only shapes are read.

    No piece has rows of two groups, and large groups are cut.

    Args:
        files: paths of the files.
        positions: name of the array (n, N, 3) in each group.
        part_bytes: of each piece, at most.

    Raises:
        DataError: a file is no HDF5, has no group, or a group lacks the array.
    """
    parts = []
    for path in files:
        with reading(path), h5py.File(path) as file:
            if not len(file):
                raise ValueError("there is no group in it")
            first = 0
            for _, count, num_atoms in _groups(path, file, positions):
                step = max(1, part_bytes // (_ATOM_BYTES * max(1, num_atoms)))
                parts += [
                    Part(path=path, start=start, stop=min(start + step, first + count))
                    for start in range(first, first + count, step)
                ]
                first += count
    return parts


def rows_of(part: Part, positions: str) -> Iterator[tuple[str, h5py.Group, slice]]:
    """Groups of a piece with ranges of their rows, each of bounded size.

    Use the groups while iterating: the file is closed after the last.

    Raises:
        DataError: the file is damaged or not in the published layout.
    """
    with reading(part.path), h5py.File(part.path) as file:
        first = 0
        for name, count, num_atoms in _groups(part.path, file, positions):
            start = max(part.start - first, 0)
            stop = count if part.stop is None else min(part.stop - first, count)
            for rows in row_blocks(max(stop - start, 0), num_atoms):
                yield name, file[name], slice(rows.start + start, rows.stop + start)
            first += count


def formulas(atomic_numbers: np.ndarray) -> list[str]:
    """Formula of each row, as `elements.formula`; written once for rows that are alike.

    Args:
        atomic_numbers: (n, N).
    """
    alike, which = np.unique(np.sort(atomic_numbers, axis=1), axis=0, return_inverse=True)
    names = [elements.formula(row) for row in alike]
    return [names[index] for index in which.reshape(-1).tolist()]


def _groups(path: Path, file: h5py.File, positions: str) -> Iterator[tuple[str, int, int]]:
    """Name of each group, its number of rows, and of atoms in each."""
    for name, group in file.items():
        with reading(path, name):
            count, num_atoms, _ = group[positions].shape
        yield name, count, num_atoms

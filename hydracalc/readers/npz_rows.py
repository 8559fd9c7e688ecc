"""Arrays of npz files in blocks of rows: a trajectory of a million frames needs little memory."""

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

import numpy as np

from hydracalc.readers.damage import reading


def small_array(path: Path, name: str) -> np.ndarray | None:
    """A whole array of an npz file; None where the file has none of that name.

    Raises:
        DataError: the file is damaged or no npz.
    """
    with reading(path), path.open("rb") as file, np.load(file) as arrays:
        return arrays[name] if name in arrays.files else None


def stream_rows(
    path: Path, names: Sequence[str], *, block: int
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Blocks of rows of several arrays with equally many rows, and the number of their first row.

    Args:
        path: npz file, compressed or not.
        names: arrays to read side by side.
        block: rows at a time.

    Raises:
        DataError: the file is damaged, lacks an array, or one has other rows than the rest.
    """
    with reading(path), ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        columns = {
            name: _Column(name, stack.enter_context(archive.open(f"{name}.npy"))) for name in names
        }
        counts = {name: column.shape[0] for name, column in columns.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"arrays have different numbers of rows: {counts}")
        count = next(iter(counts.values()))
        for start in range(0, count, block):
            rows = min(block, count - start)
            yield start, {name: column.read(rows) for name, column in columns.items()}
        for column in columns.values():
            column.finish()


class _Column:
    """One array of an npz file, read from its first row on.

    Attributes:
        shape: of the whole array.
    """

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        version = np.lib.format.read_magic(stream)
        if version not in readers:
            raise ValueError(f"array {name} has format {version}, known: {sorted(readers)}")
        self.shape, columnwise, self._dtype = readers[version](stream)
        self._name, self._stream = name, stream
        if self._dtype.kind not in "biuf" or columnwise or not self.shape:
            raise ValueError(
                f"array {name} is {self._dtype} of shape {self.shape}, expected rows of numbers"
            )

    def read(self, rows: int) -> np.ndarray:
        """The next rows."""
        shape = (rows, *self.shape[1:])
        size = math.prod(shape) * self._dtype.itemsize
        content = self._stream.read(size)
        if len(content) != size:
            raise ValueError(f"array {self._name} ends early")
        return cast(np.ndarray, np.frombuffer(content, self._dtype).reshape(shape))

    def finish(self) -> None:
        """Read to the end, where zipfile compares the checksum.

        Raises:
            ValueError: there is more than the rows that were read.
        """
        if self._stream.read(1):
            raise ValueError(f"array {self._name} is longer than its shape {self.shape}")

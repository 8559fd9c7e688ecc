"""The one file that talks to ADIOS2: named arrays into a BP5 folder, and ranges of them back.

Whatever a caller reads must have been verified first: on damaged files ADIOS2 hangs, ends the
process or answers wrongly. It also writes non-contiguous arrays wrongly, keeps a selection until
the next one, refuses bool, and cannot read what has no elements; all of it is dealt with here.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np


def _adios2_alone() -> Any:  # noqa: ANN401  # a module
    """ADIOS2 without torch, which it imports in case it is handed tensors; it never is here.

    That takes a second and 190 MB of every process that reads or writes shards (measured).
    """
    if "torch" in sys.modules:
        return import_module("adios2")
    sys.modules["torch"] = None  # type: ignore[assignment]  # so an import of it fails
    try:
        return import_module("adios2")
    finally:
        del sys.modules["torch"]


adios2 = _adios2_alone()

# written for people who tune ADIOS2; holds times, so it would differ from run to run
_PROFILE = "profiling.json"
# bytes that are read on in the time that one more range takes (measured)
_RANGE_COST = 32_768


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as one step of a new BP5 folder; equal arrays give equal bytes.

    Args:
        path: folder to make.
        arrays: by name; bool is stored as uint8.

    Raises:
        OSError: ADIOS2 cannot write there.
    """
    try:
        with adios2.Stream(str(path), "w") as stream:
            for name, array in arrays.items():
                # a copy: ADIOS2 takes neither read-only nor, rightly, non-contiguous arrays
                stored = np.array(array, dtype=_stored(array.dtype), order="C")
                shape = list(stored.shape)
                stream.write(name, stored, shape, [0] * stored.ndim, shape)
    except RuntimeError as error:
        raise OSError(f"{path}: ADIOS2 cannot write: {error}") from None
    (path / _PROFILE).unlink(missing_ok=True)


class ArrayFile:
    """A verified BP5 folder, open for reading. Threads may share it: they take turns."""

    def __init__(self, path: Path) -> None:
        self._reader = adios2.FileReader(str(path))
        self._lock = Lock()  # a reader used by two threads at once returns wrong numbers
        self.shapes = {
            name: tuple(int(size) for size in facts["Shape"].split(","))
            for name, facts in self._reader.available_variables().items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file handles back."""
        self._reader.close()

    def read(
        self, name: str, dtype: str, runs: Sequence[tuple[int, int]] | None = None
    ) -> np.ndarray:
        """Rows of one array, in the order of the runs.

        Args:
            name: of the array.
            dtype: type to return; what is stored for it is a property of the type.
            runs: first and behind-the-last row of each range, ascending; None is the whole array.
        """
        shape = self.shapes[name]
        runs = [(0, shape[0])] if runs is None else runs
        # ADIOS2 fails on ranges without elements
        runs = [(start, stop) for start, stop in runs if stop > start]
        stored = _stored(np.dtype(dtype))
        rows = np.empty((sum(stop - start for start, stop in runs), *shape[1:]), dtype=stored)
        with self._lock:
            if self._is_scattered(runs, stored.itemsize * math.prod(shape[1:])):
                first, last = runs[0][0], runs[-1][1]
                between = np.empty((last - first, *shape[1:]), dtype=stored)
                self._fill(name, between, [(first, last)])
                parts = [between[start - first : stop - first] for start, stop in runs]
                np.concatenate(parts, out=rows)
            else:
                self._fill(name, rows, runs)
        return rows.view(bool) if dtype == "bool" else rows

    def _is_scattered(self, runs: Sequence[tuple[int, int]], row_bytes: int) -> bool:
        """Whether reading everything from the first to the last row is faster than the ranges."""
        if len(runs) < 2:
            return False
        return (runs[-1][1] - runs[0][0]) * row_bytes < len(runs) * _RANGE_COST

    def _fill(self, name: str, rows: np.ndarray, runs: Sequence[tuple[int, int]]) -> None:
        variable = self._reader.inquire_variable(name)
        rest = list(rows.shape[1:])
        filled = 0
        for start, stop in runs:
            variable.set_selection([[start, *[0] * len(rest)], [stop - start, *rest]])
            part = rows[filled : filled + stop - start]
            self._reader.engine.get(variable, part, adios2.bindings.Mode.Deferred)
            filled += stop - start
        self._reader.engine.perform_gets()


def _stored(dtype: np.dtype) -> np.dtype:
    """Type on disk: ADIOS2 has no bool."""
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype

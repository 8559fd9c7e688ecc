"""Pieces of files, so that one file is read by several processes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of a raw dataset that can be read by itself, so by another process.

    Attributes:
        path: file.
        start, stop: range of its records, whatever the reader counts; None is the end.
    """

    path: Path
    start: int = 0
    stop: int | None = None

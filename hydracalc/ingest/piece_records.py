"""What is written down beside the shards of a preparation that is not finished.

Every shard has rows: what other shards have to know of its structures. Every piece has a summary,
written last: a piece that has one is finished. All of it is removed when the folder is published.
"""

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from hydracalc.errors import DataError
from hydracalc.readers.parts import Part
from hydracalc.shards.manifest import StoredShard, verify_shards


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardRows:
    """The structures of a shard, as far as other shards matter to them.

    Attributes:
        marks: `fingerprints` of each, uint64, (S,).
        energies: eV, (S,).
        groups: hash of each group's name, uint64, (S,).
        splits: index of the published split or -1, int8, (S,).
        compositions: atoms of each element, of every composition, int32, (K, 119).
        composition_index: which composition each structure has, int32, (S,).
    """

    marks: np.ndarray
    energies: np.ndarray
    groups: np.ndarray
    splits: np.ndarray
    compositions: np.ndarray
    composition_index: np.ndarray


class PieceSummary(BaseModel):
    """What a finished piece holds.

    Attributes:
        origin: what it was read from, as `origin_of` describes it.
        num_read: structures that were read.
        dropped: structures that were left out, by reason.
        shards: what was written, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: str
    num_read: int
    dropped: dict[str, int]
    shards: tuple[StoredShard, ...]


def write_rows(folder: Path, shard: str, rows: ShardRows) -> None:
    """Write the rows of a shard beside it."""
    with _rows_path(folder, shard).open("wb") as file:
        np.savez(file, allow_pickle=False, **{f.name: getattr(rows, f.name) for f in fields(rows)})


def read_column(folder: Path, shard: str, name: str) -> np.ndarray:
    """One array of a shard's rows.

    Raises:
        DataError: it is damaged.
    """
    path = _rows_path(folder, shard)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return np.asarray(arrays[name])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}); remove {folder} and begin again") from None


def write_summary(folder: Path, number: int, summary: PieceSummary) -> None:
    """Write the summary of a piece so that it is whole or absent."""
    path = _summary_path(folder, number)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(summary.model_dump_json())
    unfinished.rename(path)


def origin_of(parts: Sequence[Part]) -> str:
    """Hash of what a piece is read from: files with size and time, and the ranges in them."""
    digest = hashlib.sha256()
    for part in parts:
        stat = part.path.stat()
        state = (0, 0) if part.path.is_dir() else (stat.st_size, stat.st_mtime_ns)
        digest.update(f"{part.path.absolute()}\n{part.start}\n{part.stop}\n{state}\n".encode())
    return digest.hexdigest()


def read_summary(folder: Path, number: int, origin: str | None = None) -> PieceSummary | None:
    """The summary of a piece that is finished and whole; else None, and it has to be read again.

    It is not whole if a process was killed while it amended the shards.

    Args:
        folder: that holds the shards.
        number: of the piece.
        origin: what it should have been read from; None does not ask.
    """
    path = _summary_path(folder, number)
    try:
        summary = PieceSummary.model_validate(json.loads(path.read_bytes()))
        if origin not in (None, summary.origin):
            return None
        verify_shards(folder, summary.shards)
        for shard in summary.shards:
            for column in fields(ShardRows):
                read_column(folder, shard.name, column.name)
    except (FileNotFoundError, ValueError, ValidationError, DataError):
        return None
    return summary


def has_summaries(folder: Path) -> bool:
    """Whether any piece is finished."""
    return any(folder.glob("piece-*.json"))


def remove_piece(folder: Path, number: int) -> None:
    """Remove what a piece left, finished or not."""
    for path in folder.glob(f"piece-{number:05d}.*"):
        path.unlink()
    for path in folder.glob(f"shard-{number:05d}-*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove_records(folder: Path) -> None:
    """Remove all summaries and rows, before the folder gets its name."""
    for path in folder.iterdir():
        if path.is_file() and path.name.startswith(("piece-", "shard-")):
            path.unlink()


def _rows_path(folder: Path, shard: str) -> Path:
    return folder / f"{shard.removesuffix('.bp')}.npz"


def _summary_path(folder: Path, number: int) -> Path:
    return folder / f"piece-{number:05d}.json"

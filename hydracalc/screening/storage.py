"""Blocks of results on disk: each one step of ADIOS2, known to be whole by a record beside it.

A block counts from the moment its record has its name. What a killed process left without one is
removed and computed again, so every structure is in the results exactly once.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from hydracalc.errors import DataError
from hydracalc.shards.arrays import write_arrays
from hydracalc.shards.manifest import StoredShard, describe_shard, verify_shards

SCHEMA_VERSION = 1
FILE_NAME = "results.json"


class StoredBlock(BaseModel):
    """A block that is finished.

    Attributes:
        piece: of the input that it is of.
        number: of the block in its piece.
        counts: structures by what became of them.
        num_doubtful: predicted ones with a reason to doubt.
        digest: hash of what was given.
        is_last: whether nothing of the piece follows.
        files: where its arrays are; None if it has no structure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    piece: int
    number: int
    counts: dict[str, int]
    num_doubtful: int
    digest: str
    is_last: bool
    files: StoredShard | None

    @property
    def num_structures(self) -> int:
        """Structures in it, predicted or not."""
        return sum(self.counts.values())


class ResultsManifest(BaseModel):
    """What a folder of results holds and how it was made.

    Attributes:
        schema_version: of the layout on disk.
        plan: all that the results depend on.
        branches: of the model, in the order of the columns.
        units: of the columns.
        counts: structures by what became of them.
        num_doubtful: predicted ones with a reason to doubt.
        blocks: in the order of the input.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    plan: dict[str, JsonValue]
    branches: tuple[str, ...]
    units: dict[str, str]
    counts: dict[str, int]
    num_doubtful: int
    blocks: tuple[StoredBlock, ...]

    @property
    def sha256(self) -> str:
        """Identity of the results: equal for equal structures, settings and numbers."""
        return _hash(self.model_dump(mode="json"))


def write_block(
    folder: Path, block: StoredBlock, arrays: dict[str, np.ndarray], num_atoms: int
) -> StoredBlock:
    """Write a block; it is finished when this returns, and only then.

    Args:
        folder: not published yet.
        block: what is known of it, without files.
        arrays: by name; none if it has no structure.
        num_atoms: of all its structures.

    Raises:
        OSError: the folder cannot be written.
    """
    files = None
    if block.num_structures:
        path = folder / _data_name(block.piece, block.number)
        write_arrays(path, arrays)
        files = describe_shard(path, num_structures=block.num_structures, num_atoms=num_atoms)
    block = block.model_copy(update={"files": files})
    _write_text(folder / _record_name(block.piece, block.number), block.model_dump_json())
    return block


def finished_blocks(folder: Path, piece: int) -> list[StoredBlock]:
    """The blocks of a piece that are finished, from its first on; what else is there is removed."""
    blocks: list[StoredBlock] = []
    while not (blocks and blocks[-1].is_last):
        block = _read_record(folder, piece, len(blocks))
        if block is None:
            break
        blocks.append(block)
    kept = {_record_name(piece, block.number) for block in blocks}
    kept |= {_data_name(piece, block.number) for block in blocks if block.files is not None}
    for path in (*folder.glob(f"block-{piece:05d}-*"), *folder.glob(f"shard-{piece:05d}-*")):
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return blocks


def count_finished(folder: Path) -> int:
    """Records there are; cheap, so that progress can be shown."""
    return sum(path.suffix == ".json" for path in folder.glob("block-*"))


def write_results(folder: Path, manifest: ResultsManifest) -> None:
    """Write the manifest, before the folder gets its name."""
    content = {"sha256": manifest.sha256, **manifest.model_dump(mode="json")}
    _write_text(folder / FILE_NAME, json.dumps(content, indent=1, allow_nan=False) + "\n")


def remove_records(folder: Path) -> None:
    """Remove what only served to continue, once the folder has its name."""
    for path in folder.glob("block-*"):
        path.unlink(missing_ok=True)


def read_results(folder: Path) -> ResultsManifest:
    """The manifest of a folder of results, its own hash checked.

    Raises:
        ValueError: there is no such folder, or it holds no results.
        DataError: the manifest is damaged, or of a layout this version does not know.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ValueError(f"{folder}: holds no results of a screening ({FILE_NAME} is missing)")
    try:
        content = json.loads(path.read_bytes())
        stated = content.pop("sha256", None)
        found, version = _hash(content), content.get("schema_version")
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: is damaged: {error}") from None
    if stated != found:
        raise DataError(f"{path}: SHA-256 is {found}, the file states {stated}; it was changed")
    if version != SCHEMA_VERSION:
        raise DataError(f"{path}: schema version {version!r}, expected {SCHEMA_VERSION}")
    try:
        return ResultsManifest.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: is no manifest of results: {error}") from None


def verify_blocks(folder: Path, blocks: Iterable[StoredBlock]) -> None:
    """Compare every file with what is known of it, before ADIOS2 opens any.

    Raises:
        DataError: a file is missing, or its size or hash is another.
    """
    verify_shards(folder, [block.files for block in blocks if block.files is not None])


def added(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Counts by reason, together."""
    names = dict.fromkeys(name for each in counts for name in each)
    return {name: sum(each.get(name, 0) for each in counts) for name in names}


def _read_record(folder: Path, piece: int, number: int) -> StoredBlock | None:
    """A finished block, or None where there is none that is whole."""
    try:
        text = (folder / _record_name(piece, number)).read_bytes()
        block = StoredBlock.model_validate_json(text)
        verify_blocks(folder, [block])
    except (FileNotFoundError, ValueError):
        return None
    return block


def _record_name(piece: int, number: int) -> str:
    return f"block-{piece:05d}-{number:05d}.json"


def _data_name(piece: int, number: int) -> str:
    return f"shard-{piece:05d}-{number:05d}.bp"


def _write_text(path: Path, text: str) -> None:
    """Write a small file so that it is whole or absent."""
    unfinished = path.with_suffix(".new")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def _hash(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()

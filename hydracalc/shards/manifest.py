"""What a folder of shards says of itself, and the check that nothing in it is damaged.

The manifest is written last and holds the size and SHA-256 of every file, and its own. It is
checked before ADIOS2 opens anything.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, StringConstraints, ValidationError

from hydracalc.card import Card
from hydracalc.errors import DataError
from hydracalc.fields import FIELDS

SCHEMA_VERSION = 1
FILE_NAME = "manifest.json"

# names that stay inside the folder
_ShardName = Annotated[str, StringConstraints(pattern=r"^shard-[0-9]{5}(-[0-9]{5})?\.bp$")]
_FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]


class StoredFile(BaseModel):
    """One file of a shard: its name, bytes, and SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _FileName
    size: int
    sha256: str


class StoredShard(BaseModel):
    """One BP5 folder: its name, how much it holds, and its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _ShardName
    num_structures: int
    num_atoms: int
    files: tuple[StoredFile, ...]


class Manifest(BaseModel):
    """What a folder of shards holds and how it was made.

    Attributes:
        schema_version: of the layout on disk.
        hydracalc_version: that wrote it.
        card: of the dataset.
        fields: type, shape and unit of every field, as the field table had them.
        num_structures: by split.
        num_atoms: in all.
        dropped: how many structures of the raw data were left out, by reason.
        references_eV: energy of each element.
        references_from: whether those are a fit of the training split alone, or were given.
        settings: how structures were screened and split, with the seed.
        shards: the folders, in reading order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    hydracalc_version: str
    card: Card
    fields: dict[str, dict[str, JsonValue]]
    num_structures: dict[str, int]
    num_atoms: int
    dropped: dict[str, int]
    references_eV: dict[str, float]  # noqa: N815  # units in the key
    references_from: Literal["training split", "given"]
    settings: dict[str, JsonValue]
    shards: tuple[StoredShard, ...]

    @property
    def sha256(self) -> str:
        """Identity of the data: equal for equal structures, splits and settings."""
        return hashlib.sha256(_canonical(self.model_dump(mode="json"))).hexdigest()


def field_table() -> dict[str, dict[str, JsonValue]]:
    """The field table as the manifest states it."""
    return {
        field.name: {
            "dtype": field.dtype,
            "shape": list(field.shape),
            "unit": field.unit,
            "required": field.required,
        }
        for field in FIELDS.values()
    }


def describe_shard(path: Path, *, num_structures: int, num_atoms: int) -> StoredShard:
    """Size and hash of every file of a shard, once they are on the disk for good."""
    files = []
    for file in sorted(path.iterdir()):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
        files.append(StoredFile(name=file.name, size=file.stat().st_size, sha256=_sha256(file)))
    return StoredShard(
        name=path.name, num_structures=num_structures, num_atoms=num_atoms, files=tuple(files)
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder that is not published yet."""
    content = {"sha256": manifest.sha256, **manifest.model_dump(mode="json")}
    with (folder / FILE_NAME).open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1, allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder of shards, its own hash checked.

    Raises:
        ValueError: there is no such folder, or it holds no shards.
        DataError: the manifest is damaged, or of a layout this version does not know.
    """
    path = folder / FILE_NAME
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder of shards")
    if not path.is_file():
        raise DataError(f"{folder}: no {FILE_NAME}; not a finished folder of shards")
    content = _json_of(path)
    stated = content.pop("sha256", None)
    found = hashlib.sha256(_canonical(content)).hexdigest()
    if stated != found:
        raise DataError(f"{path}: SHA-256 is {found}, the manifest states {stated}; it was changed")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(f"{path}: schema version {version!r}, expected {SCHEMA_VERSION}")
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: not a manifest: {error}") from None
    if manifest.fields != field_table():
        raise DataError(f"{path}: fields {manifest.fields}, expected {field_table()}")
    return manifest


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest.

    Raises:
        DataError: a file is missing, or its size or hash is not the manifest's.
    """
    verify_shards(folder, manifest.shards)


def verify_shards(folder: Path, shards: Iterable[StoredShard]) -> None:
    """Compare every file of some shards with what is known of it.

    Raises:
        DataError: a file is missing, or its size or hash is another.
    """
    for shard in shards:
        for file in shard.files:
            _verify(folder / shard.name / file.name, file)


def _verify(path: Path, file: StoredFile) -> None:
    if not path.is_file():
        raise DataError(f"{path}: the file is missing")
    size = path.stat().st_size
    if size != file.size:
        raise DataError(f"{path}: has {size} bytes, the manifest states {file.size}")
    found = _sha256(path)
    if found != file.sha256:
        raise DataError(f"{path}: SHA-256 is {found}, the manifest states {file.sha256}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _json_of(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds {type(content).__name__}, expected a JSON object")
    return content

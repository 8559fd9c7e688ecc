"""Ensembles on disk: a folder with member models, and `ensemble.json` that names them.

    {"format_version": 1,
     "members": [{"file": "member-0.safetensors", "sha256": "...", "from": "runs/a"}, ...],
     "selection": {...}, "calibration": {...} or null}

A calibration of a single model lies beside it, in `NAME.calibration.json`.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydracalc.checkpoint import read_header
from hydracalc.errors import DataError

FORMAT_VERSION = 1
FILE = "ensemble.json"
BESIDE = ".calibration.json"


@dataclass(frozen=True, kw_only=True)
class EnsembleFile:
    """What an `ensemble.json` states.

    Attributes:
        path: of the file.
        members: files of the members.
        sha256: identity of each member.
        content: everything.
    """

    path: Path
    members: tuple[Path, ...]
    sha256: tuple[str, ...]
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def calibration(self) -> Mapping[str, Any] | None:
        """What `calibration.from_json` reads; None where there is none."""
        return self.content.get("calibration")


def find_ensemble(given: str | Path) -> Path | None:
    """The `ensemble.json` that is meant by a folder or by its own path; None: something else."""
    path = Path(given)
    if path.is_dir() and (path / FILE).is_file():
        return path / FILE
    return path if path.suffix == ".json" else None


def read_ensemble(path: Path) -> EnsembleFile:
    """What an ensemble's file states, its members compared with their SHA-256.

    Raises:
        ValueError: there is no such file, or its format version is not known.
        DataError: it is damaged, or a member is missing or another one.
    """
    content = _json(path, "ensemble")
    try:
        entries = [(str(each["file"]), str(each["sha256"])) for each in content["members"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: the ensemble file is damaged: {error!r}") from None
    for name, sha256 in entries:
        member = path.parent / name
        if not member.is_file():
            raise DataError(f"{path}: member {name} is missing")
        found = read_header(member)["sha256"]
        if found != sha256:
            raise DataError(
                f"{path}: member {name} has SHA-256 {found[:12]}..., stated is {sha256[:12]}..."
            )
    return EnsembleFile(
        path=path,
        members=tuple(path.parent / name for name, _ in entries),
        sha256=tuple(sha256 for _, sha256 in entries),
        content=content,
    )


def write_ensemble(
    folder: Path, models: Sequence[tuple[str, Path]], *, selection: Mapping[str, Any]
) -> Path:
    """Copy members into a folder and name them in its `ensemble.json`.

    Args:
        folder: made; must hold no ensemble yet.
        models: where each member comes from, in words, and its file.
        selection: how they were chosen, anything JSON can say.

    Raises:
        ValueError: there are fewer than two, or the folder holds an ensemble.
    """
    if len(models) < 2:
        raise ValueError(f"an ensemble needs at least 2 members, got {len(models)}")
    if (folder / FILE).exists():
        raise ValueError(f"{folder} holds an ensemble already; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, (name, source) in enumerate(models):
        file = f"member-{number}.safetensors"
        shutil.copyfile(source, folder / file)
        entries.append({"file": file, "sha256": read_header(folder / file)["sha256"], "from": name})
    content = {
        "format_version": FORMAT_VERSION,
        "members": entries,
        "selection": dict(selection),
        "calibration": None,
    }
    _write(folder / FILE, content)
    return folder / FILE


def store_calibration(path: Path, calibration: Mapping[str, Any]) -> Path:
    """Put a calibration into an ensemble's file, or beside a model's.

    Args:
        path: `ensemble.json` or a model file.
        calibration: as `Calibration.to_json` gives it.

    Returns:
        the file that holds it.
    """
    if path.suffix == ".json":
        _write(path, {**read_ensemble(path).content, "calibration": dict(calibration)})
        return path
    target = beside(path)
    _write(
        target,
        {
            "format_version": FORMAT_VERSION,
            "sha256": read_header(path)["sha256"],
            "calibration": dict(calibration),
        },
    )
    return target


def beside(model: Path) -> Path:
    """Where the calibration of a single model lies."""
    return model.with_name(model.name + BESIDE)


def read_beside(model: Path, sha256: str) -> Mapping[str, Any] | None:
    """The calibration that lies beside a model; None where there is none.

    Raises:
        DataError: it is damaged, or of another model.
    """
    path = beside(model)
    if not path.is_file():
        return None
    content = _json(path, "calibration")
    if content.get("sha256") != sha256:
        raise DataError(
            f"{path}: calibration of model {str(content.get('sha256'))[:12]}..., the model beside "
            f"it is {sha256[:12]}...; calibrate it anew, or remove the file"
        )
    calibration: Mapping[str, Any] = content["calibration"]
    return calibration


def _json(path: Path, kind: str) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: there is no such {kind} file")
    try:
        content = json.loads(path.read_text())
        found = content["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: the {kind} file is damaged: {error!r}") from None
    if found != FORMAT_VERSION:
        raise ValueError(f"{path}: format version {found!r} is unknown, expected {FORMAT_VERSION}")
    return dict(content)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    part.replace(path)

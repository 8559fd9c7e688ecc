"""Results of an assessment in a file, added up over several calls."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydracalc.errors import DataError


def load_results(path: Path | None, identity: Mapping[str, str]) -> dict[str, Any]:
    """Results that a file holds for a model; new ones where there is no file.

    Args:
        path: file, or None.
        identity: of the model, `model` and `sha256`.

    Raises:
        DataError: the file is damaged, or of another model.
    """
    if path is None or not path.is_file():
        return {**identity, "hydracalc_version": version("hydracalc")}
    try:
        results = json.loads(path.read_text())
        sha256 = results["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not results of an assessment: {error!r}") from None
    if sha256 != identity["sha256"]:
        raise DataError(
            f"{path}: results of a model with SHA-256 {sha256[:12]}..., the given one has "
            f"{identity['sha256'][:12]}...; take another file"
        )
    return dict(results)


def store_results(path: Path | None, results: Mapping[str, Any]) -> None:
    """Write results under a temporary name and rename; None writes nothing."""
    if path is None:
        return
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    part.replace(path)

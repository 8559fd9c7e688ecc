"""Models by name: what a name such as "mtl-all" stands for, and where its file is.

A name with a revision, "mtl-all@2026-11-30", means the same file for ever: its SHA-256 is written
in the registry. The name alone is an alias of one revision.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from hydracalc.checkpoint import SUFFIX, load_checkpoint
from hydracalc.devices import device_of
from hydracalc.errors import DataError, unknown
from hydracalc.models.hydra import HydraModel

# the models that travel with the package
PRETRAINED = Path(__file__).parent / "pretrained" / "registry.json"


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """One model of a registry.

    Attributes:
        name: name with its revision.
        aliases: names that stand for it at present.
        path: its file.
        sha256: of the file.
    """

    name: str
    aliases: tuple[str, ...]
    path: Path
    sha256: str


def list_models(*, registry: Path = PRETRAINED) -> list[RegisteredModel]:
    """The models of a registry, by name; none where there is no registry file.

    Raises:
        DataError: the registry is damaged.
    """
    if not registry.is_file():
        return []
    try:
        content = json.loads(registry.read_text())
        aliases: dict[str, str] = content["aliases"]
        models = [
            RegisteredModel(
                name=name,
                aliases=tuple(sorted(alias for alias, meant in aliases.items() if meant == name)),
                path=registry.parent / entry["file"],
                sha256=entry["sha256"],
            )
            for name, entry in sorted(content["models"].items())
        ]
        dangling = set(aliases.values()) - set(content["models"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{registry}: the registry is damaged: {error!r}") from None
    if dangling:
        raise DataError(f"{registry}: aliases of models it does not have: {sorted(dangling)}")
    return models


def find(name: str, *, registry: Path = PRETRAINED) -> RegisteredModel:
    """The registered model of a name, with or without revision.

    Raises:
        ValueError: no model has that name; the nearest one is offered.
    """
    by_name: dict[str, RegisteredModel] = {}
    for model in list_models(registry=registry):
        by_name |= dict.fromkeys((model.name, *model.aliases), model)
    if name not in by_name:
        raise ValueError(f"{unknown('model', name, by_name)}; a file is given by its path")
    return by_name[name]


def resolve(name_or_path: str | Path, *, registry: Path = PRETRAINED) -> Path:
    """The file of a model name, or of a path.

    A registered file is compared with the SHA-256 of the registry.

    Raises:
        ValueError: neither a known name nor a file.
        DataError: the file is not the one that was registered.
    """
    if _is_path(name_or_path):
        path = Path(name_or_path)
        if not path.is_file():
            raise ValueError(f"{path}: there is no such model file")
        return path
    model = find(str(name_or_path), registry=registry)
    if not model.path.is_file():
        raise DataError(f"model {model.name!r}: its file {model.path} is missing")
    with model.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != model.sha256:
        raise DataError(
            f"model {model.name!r}: {model.path} has SHA-256 {sha256[:12]}..., "
            f"registered is {model.sha256[:12]}...; install it again"
        )
    return model.path


def full_name(name_or_path: str | Path, *, registry: Path = PRETRAINED) -> str:
    """What means the same model for ever: the name with its revision, or the absolute path.

    Raises:
        ValueError: no model has that name.
    """
    if _is_path(name_or_path):
        return str(Path(name_or_path).resolve())
    return find(str(name_or_path), registry=registry).name


def load_model(
    name_or_path: str | Path,
    *,
    dtype: str = "auto",
    device: torch.device | str = "cpu",
    registry: Path = PRETRAINED,
) -> HydraModel:
    """The model of a name or a file, in evaluation mode.

    Args:
        name_or_path: "mtl-all", "mtl-all@revision" or a path.
        dtype: "auto" (as stored), "float32", "float64" or "bfloat16".
        device: where the weights go; "auto" takes a GPU where there is one.
        registry: registry file that names are looked up in.

    Raises:
        ValueError: the model, its format version or the dtype is not known.
        DataError: the file is damaged or not the registered one.
    """
    path = resolve(name_or_path, registry=registry)
    return load_checkpoint(path, dtype=dtype, device=device_of(device))


def register(
    path: Path, name: str, *, aliases: tuple[str, ...] = (), registry: Path = PRETRAINED
) -> RegisteredModel:
    """Enter a file that lies beside the registry under a name that nothing else ever had.

    Args:
        path: model file in the folder of the registry.
        name: name with a revision, "mtl-all@2026-11-30".
        aliases: names that shall stand for it from now on.
        registry: file to enter it in; made if there is none.

    Raises:
        ValueError: the name is taken by another file, has no revision, or the file lies elsewhere.
    """
    if path.resolve().parent != registry.resolve().parent:
        raise ValueError(f"{path}: a registered file lies in {registry.parent}")
    if "@" not in name or any("@" in alias for alias in aliases):
        raise ValueError(f"name {name!r} needs a revision after an @, aliases {aliases} none")
    known = {model.name: model for model in list_models(registry=registry)}
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if name in known and known[name].sha256 != sha256:
        raise ValueError(f"model {name!r} is registered with another file; take a new revision")
    content = (
        json.loads(registry.read_text()) if registry.is_file() else {"aliases": {}, "models": {}}
    )
    content["models"][name] = {"file": path.name, "sha256": sha256}
    content["aliases"] |= dict.fromkeys(aliases, name)
    part = registry.with_suffix(".part")
    part.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    part.replace(registry)
    return find(name, registry=registry)


def _is_path(name_or_path: str | Path) -> bool:
    """Whether a file is meant: a Path, or text with a folder or a model file's ending in it."""
    if isinstance(name_or_path, Path):
        return True
    return "/" in name_or_path or "\\" in name_or_path or name_or_path.endswith(SUFFIX)

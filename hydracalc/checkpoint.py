"""A model in one file: weights as safetensors, and a JSON card of all a reader should know.

The file holds numbers and text only, so loading it runs no code. A SHA-256 over header and weights
is checked before a model is handed out.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hydracalc import references
from hydracalc.card import Card
from hydracalc.errors import DataError, unknown
from hydracalc.models import precision
from hydracalc.models.branches import BranchSpec
from hydracalc.models.encoders import OPTIONS
from hydracalc.models.hydra import TABLES, HydraConfig, HydraModel
from hydracalc.models.precision import PRECISIONS
from hydracalc.models.weighting import BranchWeighting

FORMAT_VERSION = 1
SUFFIX = ".safetensors"

# what a provenance calls that which was measured of the finished model
MEASURED = "measured"

# types that weights may be stored in: older versions also wrote bfloat16
_STORED = ("bfloat16", "float32", "float64")


def save_checkpoint(path: Path | str, model: HydraModel, *, provenance: Mapping[str, Any]) -> str:
    """Write a model to one file; a reader never sees half of it.

    Args:
        path: file to write, replaced if it exists.
        model: the model; the file's weights have the type of its features.
        provenance: how the model came about, anything JSON can say.

    Returns:
        SHA-256 of the content, the identity of the model.

    Raises:
        ValueError: a weight is not finite, or the provenance is not JSON.
        OSError: the file cannot be written.
    """
    path = Path(path)
    tensors = _weights(model)
    bad = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise ValueError(f"{path}: weights are not finite: {bad}")
    try:
        card = json.dumps(_card(model, provenance), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: the card of the model is not JSON: {error}") from None
    sha256 = _content_hash(card, tensors)
    _write_whole(path, save(tensors, metadata={"card": card, "sha256": sha256}))
    return sha256


def load_checkpoint(
    path: Path | str, *, dtype: str = "auto", device: torch.device | str = "cpu"
) -> HydraModel:
    """The model of a file, in evaluation mode; reference energies stay float64 in every dtype.

    Args:
        path: file written by `save_checkpoint`.
        dtype: "auto" (as stored), or a precision: "float32", "float64" or "bfloat16".
        device: where the weights go.

    Raises:
        ValueError: there is no such file, its format version or the dtype is not known.
        DataError: the file is damaged, or its weights are not those its header describes.
    """
    path = Path(path)
    if dtype != "auto" and dtype not in PRECISIONS:
        raise ValueError(unknown("dtype", dtype, ["auto", *PRECISIONS]))
    card, tensors = _read(path)
    if _content_hash(card["text"], tensors) != card["sha256"]:
        raise DataError(
            f"{path}: SHA-256 of the content is not the one in the header; fetch it again"
        )
    model = _build(card["header"], path)
    expected, given = set(_weights(model)), set(tensors)
    if expected != given:
        raise DataError(
            f"{path}: weights missing {sorted(expected - given)}, not of this model "
            f"{sorted(given - expected)}"
        )
    stored = _stored_dtype(card["header"], path)
    model.precision = stored if dtype == "auto" else dtype
    tables = {name: tensor for name, tensor in model.state_dict().items() if name in TABLES}
    try:
        model.load_state_dict(tensors | tables, strict=True)
    except RuntimeError as error:
        raise DataError(f"{path}: weights do not fit the model: {error}") from None
    return model.to(device).eval()


def read_header(path: Path | str) -> dict[str, Any]:
    """The card of a file with its `sha256`, without reading the weights.

    Raises:
        ValueError: there is no such file, or its format version is not known.
        DataError: the header is damaged.
    """
    path = Path(path)
    try:
        with _opened(path) as file:
            card = _metadata(file.metadata(), path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a whole safetensors file: {error}") from None
    return {**card["header"], "sha256": card["sha256"]}


def _weights(model: HydraModel) -> dict[str, Tensor]:
    """Tensors of the file by name: the state without the tables that the header states."""
    state = model.state_dict()
    return {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in state.items()
        if name not in TABLES
    }


def _card(model: HydraModel, provenance: Mapping[str, Any]) -> dict[str, Any]:
    weighting = model.weighting
    default = {} if model.default_branch is None else {"default_branch": model.default_branch}
    return {
        "format_version": FORMAT_VERSION,
        "hydracalc_version": version("hydracalc"),
        "config": _config_to_json(model.config),
        "cutoff_A": model.config.cutoff,
        "dtype": precision.of_weights(model.dtype),
        "branches": [_branch_to_json(spec) for spec in model.branch_specs],
        "weighting": None if weighting is None else weighting.to_header(),
        "provenance": dict(provenance),
        **default,
    }


def _config_to_json(config: HydraConfig) -> dict[str, Any]:
    """The shape of a model, without the options of other encoders than its own."""
    others = OPTIONS.keys() - {config.encoder}
    return {name: value for name, value in asdict(config).items() if name not in others}


def _config_from_json(config: Mapping[str, Any]) -> HydraConfig:
    """A shape as a card states it; options that it does not state have their defaults."""
    strange = set(config) - {field.name for field in fields(HydraConfig)}
    if strange:
        raise ValueError(f"config has unknown keys {sorted(strange)}")
    options = {name: OPTIONS[name](**_tuples(config[name])) for name in OPTIONS if name in config}
    return HydraConfig(**_tuples(config) | options)


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with tuples where JSON has lists."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}


def _branch_to_json(spec: BranchSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "card": spec.card.model_dump(mode="json"),
        "references_eV": spec.references.to_json(),
        "scale_eV": spec.scale,
        "num_structures": spec.num_structures,
        "charges": list(spec.charges),
        "spin_multiplicities": list(spec.spin_multiplicities),
        "metrics": dict(spec.metrics),
    }


def _branch_from_json(branch: Mapping[str, Any]) -> BranchSpec:
    return BranchSpec(
        name=branch["name"],
        card=Card.model_validate(branch["card"]),
        references=references.from_json(branch["references_eV"]),
        scale=branch["scale_eV"],
        num_structures=branch["num_structures"],
        charges=tuple(branch["charges"]),
        spin_multiplicities=tuple(branch["spin_multiplicities"]),
        metrics=dict(branch["metrics"]),
    )


def _build(header: Mapping[str, Any], path: Path) -> HydraModel:
    """A model of the header's shape; its weights are random, the caller's random state is kept."""
    try:
        config = _config_from_json(header["config"])
        branches = [_branch_from_json(branch) for branch in header["branches"]]
        with torch.random.fork_rng(devices=[]):
            weighting = header["weighting"]
            network = (
                None if weighting is None else BranchWeighting.from_header(len(branches), weighting)
            )
            model = HydraModel(config, branches, weighting=network)
        model.default_branch = header.get("default_branch")
        if model.default_branch not in (None, *model.branch_names):
            raise ValueError(f"default branch {model.default_branch!r} is none of the model's")
        return model
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise DataError(f"{path}: the header does not describe a model: {error!r}") from None


def _stored_dtype(header: Mapping[str, Any], path: Path) -> str:
    dtype = header.get("dtype")
    if dtype not in _STORED:
        raise DataError(f"{path}: stored dtype is {dtype!r}, expected one of {sorted(_STORED)}")
    return dtype


def _content_hash(card: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the card and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(card.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _opened(path: Path) -> Any:  # noqa: ANN401  # safetensors has no public type for it
    if not path.is_file():
        raise ValueError(f"{path}: there is no such model file")
    return safe_open(path, framework="pt")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with _opened(path) as file:
            card = _metadata(file.metadata(), path)
            return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DataError(f"{path}: not a whole safetensors file: {error}") from None


def _metadata(metadata: Mapping[str, str] | None, path: Path) -> dict[str, Any]:
    """Text of the card, the card, and the hash that the header states."""
    if not metadata or not {"card", "sha256"} <= set(metadata):
        raise DataError(f"{path}: a safetensors file, but not a hydracalc model (no card)")
    try:
        header = json.loads(metadata["card"])
        format_version = header["format_version"]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: the card is damaged: {error!r}") from None
    if format_version != FORMAT_VERSION:
        raise ValueError(
            f"{path}: format version {format_version!r} is unknown; "
            f"hydracalc {version('hydracalc')} reads version {FORMAT_VERSION}"
        )
    return {"text": metadata["card"], "header": header, "sha256": metadata["sha256"]}


def _write_whole(path: Path, content: bytes) -> None:
    """Write under a temporary name beside the file, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)

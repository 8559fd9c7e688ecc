"""The state a run goes on from: weights, their average, the optimizer's moments, the position."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hydracalc.errors import DataError
from hydracalc.models.hydra import HydraModel

_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a run has come.

    Attributes:
        step: updates made.
        epoch: epoch that is under way.
        batch: batches of it that are done.
        seconds: time spent training.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0


def save_state(
    path: Path,
    *,
    model: HydraModel,
    average: HydraModel,
    optimizer: torch.optim.Optimizer,
    position: Position,
) -> None:
    """Write a state whole or not at all: under a temporary name, then renamed."""
    tensors = {f"model.{name}": p.detach() for name, p in model.named_parameters()}
    tensors |= {f"average.{name}": p.detach() for name, p in average.named_parameters()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value.detach().reshape(value.shape)
    header = {"format_version": _FORMAT_VERSION, "position": asdict(position)}
    content = save(
        {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"state": json.dumps(header)},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def load_state(
    path: Path, *, model: HydraModel, average: HydraModel, optimizer: torch.optim.Optimizer
) -> Position:
    """Put a state back where it came from.

    Raises:
        ValueError: there is no such file, or it is of another format.
        DataError: the file is damaged, or of a model of another shape.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no train state to resume from")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("state", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: the train state is damaged: {error}") from None
    if header.get("format_version") != _FORMAT_VERSION:
        raise ValueError(
            f"{path}: train state of format {header.get('format_version')}, "
            f"expected {_FORMAT_VERSION}"
        )
    try:
        _copy(tensors, "model.", model)
        _copy(tensors, "average.", average)
        _fill_optimizer(tensors, model, optimizer)
    except (KeyError, RuntimeError) as error:
        raise DataError(f"{path}: the train state is of another model: {error}") from None
    return Position(**header["position"])


@torch.no_grad()
def _copy(tensors: dict[str, Tensor], prefix: str, model: HydraModel) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[prefix + name])


def _fill_optimizer(
    tensors: dict[str, Tensor], model: HydraModel, optimizer: torch.optim.Optimizer
) -> None:
    for name, parameter in model.named_parameters():
        moments = {
            key.split(".")[1]: value
            for key, value in tensors.items()
            if key.startswith("optimizer.") and key.split(".", 2)[2] == name
        }
        if moments:
            optimizer.state[parameter] = moments

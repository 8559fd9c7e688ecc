"""The state a run goes on from: weights, their average, the optimizer's moments, the position."""

import json
import os
import tempfile
from collections.abc import Sequence
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


def state_tensors(
    model: HydraModel, average: HydraModel, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Everything a run goes on from but its position, on the processor."""
    tensors = {f"model.{name}": p.detach() for name, p in model.named_parameters()}
    tensors |= {f"average.{name}": p.detach() for name, p in average.named_parameters()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value.detach().reshape(value.shape)
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def merge_tensors(parts: Sequence[tuple[Sequence[int], dict[str, Tensor]]]) -> dict[str, Tensor]:
    """Tensors of models that hold some branches each, as one model with all of them has them.

    Args:
        parts: indices of the branches of each model, every branch in exactly one, and its tensors.
    """
    merged = dict(parts[0][1])
    count = sum(len(branches) for branches, _ in parts)
    for name in [name for name in merged if _is_stacked(name, merged[name])]:
        whole = merged[name].new_empty(count, *merged[name].shape[1:])
        for branches, tensors in parts:
            whole[list(branches)] = tensors[name]
        merged[name] = whole
    return merged


def _some(tensor: Tensor, branches: Sequence[int], num_branches: int) -> Tensor:
    """Rows of some branches.

    Raises:
        RuntimeError: the tensor is of another number of branches.
    """
    if len(tensor) != num_branches:
        raise RuntimeError(f"{len(tensor)} branches, expected {num_branches}")
    return tensor[list(branches)]


def _is_stacked(name: str, tensor: Tensor) -> bool:
    """Whether the first axis of a tensor runs over branches."""
    return ".branches." in name and tensor.ndim > 0


def save_state(path: Path, tensors: dict[str, Tensor], position: Position) -> None:
    """Write a state whole or not at all: under a temporary name, then renamed."""
    header = {"format_version": _FORMAT_VERSION, "position": asdict(position)}
    content = save(tensors, metadata={"state": json.dumps(header)})
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
    path: Path,
    *,
    model: HydraModel,
    average: HydraModel,
    optimizer: torch.optim.Optimizer,
    branches: Sequence[int],
    num_branches: int,
) -> Position:
    """Put a state back where it came from.

    Args:
        path: file of the state of a whole model.
        model: with all branches or some.
        average: of the same branches.
        optimizer: of the model.
        branches: which branches of the state they have.
        num_branches: of the state.

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
        tensors = {
            name: _some(tensor, branches, num_branches) if _is_stacked(name, tensor) else tensor
            for name, tensor in tensors.items()
        }
        copy_weights(tensors, "model.", model)
        copy_weights(tensors, "average.", average)
        _fill_optimizer(tensors, model, optimizer)
    except (KeyError, RuntimeError) as error:
        raise DataError(f"{path}: the train state is of another model: {error}") from None
    return Position(**header["position"])


@torch.no_grad()
def copy_weights(tensors: dict[str, Tensor], prefix: str, model: HydraModel) -> None:
    """Put tensors into the parameters of a model; their names begin with the prefix.

    Raises:
        KeyError: one is missing.
        RuntimeError: one has another shape.
    """
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[prefix + name])


def _fill_optimizer(
    tensors: dict[str, Tensor], model: HydraModel, optimizer: torch.optim.Optimizer
) -> None:
    for name, parameter in model.named_parameters():
        moments = {
            # the count of steps stays on the processor, as AdamW has it
            (kind := key.split(".")[1]): value if kind == "step" else value.to(parameter.device)
            for key, value in tensors.items()
            if key.startswith("optimizer.") and key.split(".", 2)[2] == name
        }
        if moments:
            optimizer.state[parameter] = moments

"""The state a run goes on from: weights, their average, the optimizer's moments, the position.

All randomness follows from the seed and the position, so there is no random state to keep. The
file is safetensors with a JSON header: it holds numbers and text only.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hydracalc.checkpoint import write_whole
from hydracalc.errors import DataError
from hydracalc.training.ema import AveragedWeights

_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a run has come.

    Attributes:
        step: updates made.
        epoch: epoch that is under way.
        batch: batches of it that are done.
        seconds: time spent training.
        best_score: lowest validation objective so far; infinite before the first.
        best_step: step it was reached at.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_score: float = float("inf")
    best_step: int = 0


def save_state(
    path: Path,
    *,
    model: nn.Module,
    average: AveragedWeights,
    optimizer: torch.optim.Optimizer,
    position: Position,
) -> None:
    """Write a state whole or not at all."""
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"model.{name}"] = parameter
        tensors[f"average.{name}"] = average.parameters[name]
        for moment, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{moment}.{name}"] = value
    header = {
        "format_version": _FORMAT_VERSION,
        "position": asdict(position),
        "num_updates": average.num_updates,
    }
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(whole, metadata={"state": json.dumps(header)}))


def load_state(
    path: Path, *, model: nn.Module, average: AveragedWeights, optimizer: torch.optim.Optimizer
) -> Position:
    """Put a state back where it came from.

    Raises:
        ValueError: there is no such file, or it is of another format.
        DataError: the file is damaged, or of a model of another shape.
    """
    header, tensors = _read(path)
    expected = {f"{part}.{n}" for part in ("model", "average") for n, _ in model.named_parameters()}
    given = {name for name in tensors if not name.startswith("optimizer.")}
    if expected != given:
        strange = sorted(expected ^ given)[:3]
        raise DataError(f"{path}: the train state is of another model: {strange}, ...")
    try:
        _fill(tensors, model=model, average=average, optimizer=optimizer)
        average.num_updates = header["num_updates"]
        return Position(**header["position"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise DataError(f"{path}: the train state is of another model: {error}") from None


def _read(path: Path) -> tuple[dict, dict[str, Tensor]]:
    if not path.is_file():
        raise ValueError(f"{path}: there is no train state to resume from")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("state", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{path}: the train state is damaged: {error}") from None
    if header.get("format_version") != _FORMAT_VERSION:
        raise ValueError(
            f"{path}: train state of format {header.get('format_version')}, "
            f"expected {_FORMAT_VERSION}"
        )
    return header, tensors


@torch.no_grad()
def _fill(
    tensors: Mapping[str, Tensor],
    *,
    model: nn.Module,
    average: AveragedWeights,
    optimizer: torch.optim.Optimizer,
) -> None:
    moments: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, moment, name = key.split(".", 2)
            moments.setdefault(name, {})[moment] = value
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[f"model.{name}"])
        average.parameters[name].copy_(tensors[f"average.{name}"])
        if name in moments:
            state = {key: value.to(parameter.device) for key, value in moments[name].items()}
            optimizer.state[parameter] = state

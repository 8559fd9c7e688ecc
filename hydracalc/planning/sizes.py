"""How many weights the encoder and one branch have: the Ps and Ph of arXiv:2506.21788."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hydracalc import references
from hydracalc.card import Card, Labels
from hydracalc.models.branches import BranchSpec
from hydracalc.models.hydra import HydraConfig, HydraModel

# knows all elements of the trial structures
ELEMENTS = ("H", "C", "N", "O")

# e3nn computes numbers while it builds, which the meta device has none of
_NEEDS_NUMBERS = ("mace",)


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """Weights of a model, as exact counts.

    Attributes:
        encoder: weights of the encoder, their Ps.
        branch: weights of the heads of one branch, their Ph.
        shared_buffers: bytes of tensors that are not trained, whatever the branches.
        branch_buffers: bytes of those that every branch adds.
    """

    encoder: int
    branch: int
    shared_buffers: int = 0
    branch_buffers: int = 0

    def parameters(self, num_branches: int) -> int:
        """Weights on a rank that holds so many branches: Ps + n Ph."""
        return self.encoder + num_branches * self.branch

    def buffers(self, num_branches: int) -> int:
        """Bytes of what is not trained."""
        return self.shared_buffers + num_branches * self.branch_buffers


def measure_size(config: HydraConfig) -> ModelSize:
    """Count the weights of a model of this shape; no memory is taken for them where possible.

    Raises:
        ValueError: no encoder has that name.
        ImportError: the encoder needs an extra that is not installed.
    """
    one, two = (build_model(config, count, on_meta=True) for count in (1, 2))
    encoder = _count(one.encoder)
    return ModelSize(
        encoder=encoder,
        branch=_count(one) - encoder,
        shared_buffers=2 * _buffer_bytes(one) - _buffer_bytes(two),
        branch_buffers=_buffer_bytes(two) - _buffer_bytes(one),
    )


def build_model(config: HydraConfig, num_branches: int, *, on_meta: bool = False) -> HydraModel:
    """A model with random weights and branches named b0, b1, ... that know H, C, N and O.

    Args:
        config: its shape.
        num_branches: B.
        on_meta: give the weights shapes but no memory, where the encoder can be built so.
    """
    specs = [_branch(f"b{index}") for index in range(num_branches)]
    is_meta = on_meta and config.encoder not in _NEEDS_NUMBERS
    with torch.random.fork_rng(devices=[]), torch.device("meta" if is_meta else "cpu"):
        return HydraModel(config, specs)


def _branch(name: str) -> BranchSpec:
    card = Card(
        branch=name,
        title="stands for a branch whose size is asked for",
        theory="none",
        labels=Labels(energy="eV", forces="eV/Angstrom"),
        group="structure",
        elements=ELEMENTS,
        license="CC0-1.0",
    )
    return BranchSpec(
        name=name, card=card, references=references.from_json(dict.fromkeys(ELEMENTS, 0.0))
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _buffer_bytes(module: nn.Module) -> int:
    return sum(_bytes(buffer) for buffer in module.buffers())


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()

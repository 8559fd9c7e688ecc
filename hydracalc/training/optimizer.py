"""AdamW, and which parameters it lets decay."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """How parameters follow their gradients.

    Attributes:
        learning_rate: the highest of the run.
        weight_decay: of matrices; embeddings and biases do not decay.
        beta1, beta2: memory of the mean and of the square of gradients.
        clip_norm: gradients longer than this are shortened to it.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    clip_norm: float = 10.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "clip_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a positive number")


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over all parameters of a model that are trained."""
    kept = _never_decaying(model)
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for n, p in named if n not in kept], "weight_decay": config.weight_decay},
        {"params": [p for n, p in named if n in kept], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )


def _never_decaying(model: nn.Module) -> set[str]:
    """Names of embeddings and biases: zero is no better value for them than any other."""
    return {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        for name, _ in module.named_parameters(recurse=False)
        if isinstance(module, nn.Embedding) or name == "bias"
    }

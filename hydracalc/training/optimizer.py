"""The optimizer, and which weights it decays."""

from typing import Any

import torch

from hydracalc.models.hydra import HydraModel


def make_optimizer(model: HydraModel, weight_decay: float) -> torch.optim.AdamW:
    """AdamW; biases and embeddings are not drawn to zero."""
    plain: list[torch.nn.Parameter] = []
    decayed: list[torch.nn.Parameter] = []
    embeddings = {
        id(p) for m in model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()
    }
    for name, parameter in model.named_parameters():
        is_plain = name.endswith("bias") or id(parameter) in embeddings
        (plain if is_plain else decayed).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, weight_decay=weight_decay)

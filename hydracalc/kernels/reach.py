"""Which tensors compiled loops can read."""

import torch

_TENSORS = (torch.Tensor, torch.nn.Parameter)


def readable(tensor: torch.Tensor) -> bool:
    """Whether loops can read it: in the processor's memory, and more than a shape."""
    return tensor.device.type == "cpu" and type(tensor) in _TENSORS

"""Which device a name means on this machine."""

import torch

from hydracalc.errors import unknown

# kinds of GPU in torch's words, Nvidia's and AMD's, Intel's; "auto" takes the first that is there
GPUS = ("cuda", "xpu")


def device_of(name: str | torch.device) -> torch.device:
    """The device of a name; "auto" takes a GPU where there is one.

    Raises:
        ValueError: there is no such device here.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device(next((kind for kind in GPUS if _count(kind)), "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError:
        known = ("auto", "cpu", *GPUS, "cuda:0", "xpu:0")
        raise ValueError(unknown("device", name, known)) from None
    if device.type in GPUS and (device.index or 0) >= _count(device.type):
        count = _count(device.type)
        raise ValueError(f"device {name!r}: this machine has {count} GPUs of kind {device.type!r}")
    return device


def _count(kind: str) -> int:
    """GPUs of a kind that can be used."""
    module = torch.get_device_module(kind)
    return int(module.device_count()) if module.is_available() else 0

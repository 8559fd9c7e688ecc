"""Which device a name means on this machine."""

import torch

from hydracalc.errors import unknown


def device_of(name: str | torch.device) -> torch.device:
    """The device of a name; "auto" takes a GPU where there is one.

    Raises:
        ValueError: there is no such device here.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(unknown("device", name, ("auto", "cpu", "cuda", "cuda:0"))) from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r}: this machine has {torch.cuda.device_count()} GPUs")
    return device

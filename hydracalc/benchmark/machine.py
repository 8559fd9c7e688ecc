"""What the numbers were measured on."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Processor, device and software of a measurement.

    Attributes:
        processor: its name.
        cores: that the operating system shows.
        threads: that torch uses.
        device: what the model runs on: "cpu", or the name of a GPU.
        system: operating system.
        python: version.
        torch: version.
    """

    processor: str
    cores: int
    threads: int
    device: str
    system: str
    python: str
    torch: str


def describe(device: torch.device) -> Machine:
    """This machine and the device that a model is on."""
    is_gpu = device.type == "cuda"
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name(device) if is_gpu else device.type,
        system=platform.platform(),
        python=platform.python_version(),
        torch=str(torch.__version__),
    )


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let torch use this many threads for a while; None leaves it as it is.

    Raises:
        ValueError: the number is below 1.
    """
    if count is None:
        yield
        return
    if count < 1:
        raise ValueError(f"threads is {count}, expected at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _processor() -> str:
    """Name of the processor; Linux has it in a file, other systems tell Python."""
    table = Path("/proc/cpuinfo")
    if table.is_file():
        for line in table.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()

"""Counters of energy: of GPUs (NVML), of processors (RAPL), and the clock where there is neither.

A counter is read as joules since any moment; only differences mean something.
"""

import ctypes
import os
import time
from pathlib import Path
from typing import Protocol

_TICKS = os.sysconf("SC_CLK_TCK")
_STAT = Path("/proc/stat")
_MICRO, _MILLI = 1e-6, 1e-3


class Counter(Protocol):
    """Something whose joules can be read again and again.

    Attributes:
        source: in words, for tables and files.
        is_estimate: whether it is time times a stated power.
    """

    source: str
    is_estimate: bool

    def joules(self) -> float:
        """Energy since some moment, J."""


class CpuTime:
    """Time that this process kept cores busy, times a stated power.

    Args:
        watts: of a busy core.
    """

    is_estimate = True

    def __init__(self, watts: float) -> None:
        self.source = f"estimate: CPU time x {watts:g} W a core"
        self._watts = watts

    def joules(self) -> float:
        """All threads together, user and system."""
        return time.process_time() * self._watts


class WallTime:
    """Time that has gone, times a stated power: of a GPU whose counter cannot be read.

    Args:
        watts: of the device.
        why: the counter cannot be read.
    """

    is_estimate = True

    def __init__(self, watts: float, why: str) -> None:
        self.source = f"estimate: time x {watts:g} W a GPU ({why})"
        self._watts = watts

    def joules(self) -> float:
        """Since the machine was started."""
        return time.monotonic() * self._watts


class Rapl:
    """This process's share of what the machine's processors and memory took.

    The counters are the machine's. An interval's energy is shared in proportion to CPU time: this
    process has the part that its CPU time is of all CPU time of the machine, so what other
    processes do is not counted here, and what an idle machine takes is shared by those who work.

    Args:
        powercap: folder of the kernel's counters.
        stat: file of the machine's CPU times.

    Raises:
        OSError: there is no counter, or it cannot be read.
    """

    source = "RAPL (processors and memory), shared by CPU time"
    is_estimate = False

    def __init__(self, powercap: Path, stat: Path = _STAT) -> None:
        zones = sorted(powercap.glob("intel-rapl:*"))  # AMD's have that name, too
        kept = ("package", "dram")
        self._zones = [z for z in zones if (z / "name").read_text().startswith(kept)]
        if not self._zones:
            raise FileNotFoundError(f"{powercap}: no RAPL counter")
        self._stat = stat
        self._total = 0.0
        self._last = self._read()

    def joules(self) -> float:
        """Since this object was made. Counters run over: ask more often than they do (minutes)."""
        before, now = self._last, self._read()
        self._last = now
        used = 0.0
        for zone, old, new in zip(self._zones, before[0], now[0], strict=True):
            if new < old:
                new += int((zone / "max_energy_range_uj").read_text())
            used += (new - old) * _MICRO
        busy = now[2] - before[2]
        if busy > 0:
            self._total += used * min(1.0, (now[1] - before[1]) / busy)
        return self._total

    def _read(self) -> tuple[list[int], float, float]:
        """Counters, uJ; CPU seconds of this process and of the machine."""
        counts = [int((zone / "energy_uj").read_text()) for zone in self._zones]
        line = self._stat.read_text().split("\n", 1)[0].split()[1:9]
        user, nice, system, _, _, interrupt, soft, steal = (int(each) for each in line)
        busy = (user + nice + system + interrupt + soft + steal) / _TICKS
        return counts, time.process_time(), busy


class Nvml:
    """What one NVIDIA GPU took, by its own counter (Volta and newer).

    Whatever else computes on that GPU is counted too. The driver's library is asked directly.

    Args:
        uuid: of the GPU, as the driver writes it.
        library: name of the driver's library.

    Raises:
        OSError: there is no such library, GPU or counter.
    """

    source = "NVML (GPU)"
    is_estimate = False

    def __init__(self, uuid: str, library: str = "libnvidia-ml.so.1") -> None:
        self._library = ctypes.CDLL(library)
        self._ask("nvmlInit_v2")
        self._device = ctypes.c_void_p()
        found = ctypes.byref(self._device)
        self._ask("nvmlDeviceGetHandleByUUID", ctypes.c_char_p(uuid.encode()), found)
        self.joules()

    def joules(self) -> float:
        """Since the driver was loaded."""
        count = ctypes.c_ulonglong()
        self._ask("nvmlDeviceGetTotalEnergyConsumption", self._device, ctypes.byref(count))
        return count.value * _MILLI

    def _ask(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, name)(*arguments)
        if code != 0:
            self._library.nvmlErrorString.restype = ctypes.c_char_p
            text = self._library.nvmlErrorString(code)
            raise OSError(f"{name}: {text.decode() if text else f'code {code}'}")

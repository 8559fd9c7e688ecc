"""How much energy a trial takes: every rank counts its own and writes it down as it goes."""

import json
import logging
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import torch

from hydracalc.hpo.config import EnergyConfig
from hydracalc.hpo.counters import Counter, CpuTime, Nvml, Rapl, WallTime

logger = logging.getLogger("hydracalc.hpo")


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy that something took.

    Attributes:
        joules: J.
        seconds: from the first to the last reading.
        source: how it was counted, in words.
        is_estimate: whether any part of it is time times a stated power.
    """

    joules: float = 0.0
    seconds: float = 0.0
    source: str = ""
    is_estimate: bool = False

    def __add__(self, other: "Energy") -> "Energy":
        """Of both, one after the other."""
        words = dict.fromkeys([*self.source.split("; "), *other.source.split("; ")])
        return Energy(
            joules=self.joules + other.joules,
            seconds=self.seconds + other.seconds,
            source="; ".join(word for word in words if word),
            is_estimate=self.is_estimate or other.is_estimate,
        )


class EnergyMeter:
    """Counts what this process takes while it is in the with statement.

    The file is written at every reading, so that what a killed process took is known.

    Args:
        path: file of this rank; what it says already is added to.
        device: that the process computes on, "cpu" or "cuda:0".
        config: powers and interval.
    """

    def __init__(self, path: Path, device: str, config: EnergyConfig) -> None:
        self._path = path
        self._before = _read(path)
        self._counters = [_of_processor(config)]
        if device.startswith("cuda"):
            self._counters.append(_of_gpu(device, config))
        self._interval = config.sample_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="energy", daemon=True)
        self._lock = threading.Lock()
        self._begun, self._first = time.monotonic(), [0.0]

    def __enter__(self) -> "EnergyMeter":
        """Count from now on."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._begun = time.monotonic()
        self._first = [counter.joules() for counter in self._counters]
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count to here."""
        self._over.set()
        self._thread.join()
        self.write()

    def so_far(self) -> Energy:
        """Of this process, and of those before it whose file this is."""
        with self._lock:
            now = [counter.joules() for counter in self._counters]
        spent = sum(now) - sum(self._first)
        return self._before + Energy(
            joules=spent,
            seconds=time.monotonic() - self._begun,
            source="; ".join(counter.source for counter in self._counters),
            is_estimate=any(counter.is_estimate for counter in self._counters),
        )

    def write(self) -> None:
        """Write the file, whole or not at all."""
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(self.so_far())) + "\n")
        unfinished.rename(self._path)

    def _watch(self) -> None:
        while not self._over.wait(self._interval):
            self.write()


def rank_file(trial: Path, rank: int) -> Path:
    """Where a rank writes its energy."""
    return trial / "energy" / f"rank-{rank}.json"


def of_trial(trial: Path) -> Energy:
    """What all ranks of a trial took; the time is that of one of them."""
    ranks = [_read(path) for path in sorted((trial / "energy").glob("rank-*.json"))]
    total = sum(ranks, Energy())
    seconds = max((each.seconds for each in ranks), default=0.0)
    return Energy(**{**asdict(total), "seconds": seconds})


def _read(path: Path) -> Energy:
    return Energy(**json.loads(path.read_text())) if path.is_file() else Energy()


def _of_processor(config: EnergyConfig) -> Counter:
    try:
        return Rapl(Path(config.powercap))
    except (OSError, ValueError):  # none, or root's alone: the source then says "estimate"
        return CpuTime(config.watts_per_core)


def _of_gpu(device: str, config: EnergyConfig) -> Counter:
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    try:
        return Nvml(uuid)
    except OSError as error:
        return WallTime(config.watts_per_gpu, f"NVML: {error}")

"""Peak memory of dynamics, measured in a fresh process for every structure.

`getrusage` is not enough: on Linux the peak that it states for a new process starts from that of
its parent. Where the system shows the peak of the process's own memory, that is taken.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from hydracalc.benchmark import machine
from hydracalc.benchmark.steps import Motion
from hydracalc.benchmark.systems import System
from hydracalc.calculator import HydraCalculator

MIB = 2**20

_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class PeakMemory:
    """Memory of a process that takes a few steps of dynamics.

    Attributes:
        system: name of the structure.
        num_atoms: N.
        peak_MiB: most that the process had in memory.
        before_MiB: the same before the structure came: Python, libraries, model, a step of two
            atoms.
        KiB_per_atom: what the structure added, by atom; of the device's memory where that is a GPU.
        device_peak_MiB: most that tensors had on the GPU; None without one.
    """

    system: str
    num_atoms: int
    peak_MiB: float
    before_MiB: float
    KiB_per_atom: float
    device_peak_MiB: float | None


def measure(system: System, settings: Mapping[str, Any]) -> PeakMemory:
    """Peak memory of a few steps in a process of their own.

    Args:
        system: what moves.
        settings: arguments of the calculator, and "threads" that torch may use.

    Raises:
        ChildProcessError: the process failed; the message has its last words.
    """
    atoms = system.atoms
    request = {
        "settings": dict(settings),
        "name": system.name,
        "timestep": system.timestep,
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "momenta": atoms.get_momenta().tolist(),
        "cell": atoms.cell.tolist(),
        "pbc": atoms.pbc.tolist(),
    }
    command = [sys.executable, "-m", "hydracalc.benchmark.memory"]
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ChildProcessError(
            f"memory of {system.name}: the process ended with {done.returncode}: {words[0]}"
        )
    return PeakMemory(**json.loads(done.stdout.splitlines()[-1]))


def slope(peaks: Sequence[PeakMemory], *, above: int) -> float | None:
    """Memory that one more atom takes, KiB: slope of the peaks over atoms.

    Args:
        peaks: by size.
        above: sizes below are left out.

    Returns:
        None with fewer than two sizes.
    """
    used = [peak for peak in peaks if peak.num_atoms >= above]
    if len({peak.num_atoms for peak in used}) < 2:
        return None
    totals = [
        peak.peak_MiB if peak.device_peak_MiB is None else peak.device_peak_MiB for peak in used
    ]
    return float(1024 * np.polyfit([peak.num_atoms for peak in used], totals, 1)[0])


def _measured(request: Mapping[str, Any]) -> PeakMemory:
    """What the fresh process does."""
    settings = dict(request["settings"])
    with machine.threads(settings.pop("threads", None)):
        atoms = Atoms(
            numbers=request["numbers"],
            positions=request["positions"],
            cell=request["cell"],
            pbc=request["pbc"],
            momenta=request["momenta"],
        )
        system = System(name=request["name"], atoms=atoms, timestep=request["timestep"])
        calculator = HydraCalculator(**settings)
        # two neighbors alone: what is loaded at the first step is loaded now
        near = np.argsort(atoms.get_distances(0, range(len(atoms)), mic=True))[:2]
        pair = System(name="pair", atoms=atoms[near], timestep=system.timestep)
        before, _ = _peaks_after(pair, calculator)
        peak, on_device = _peaks_after(system, calculator)
    grown = peak - before if on_device is None else on_device
    return PeakMemory(
        system=system.name,
        num_atoms=system.num_atoms,
        peak_MiB=peak / MIB,
        before_MiB=before / MIB,
        KiB_per_atom=grown / 1024 / system.num_atoms,
        device_peak_MiB=None if on_device is None else on_device / MIB,
    )


def _peaks_after(system: System, calculator: HydraCalculator) -> tuple[int, int | None]:
    """Peak of the process after some steps, and of those steps on the GPU, bytes."""
    has_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    if has_gpu:
        torch.cuda.reset_peak_memory_stats()
    motion = Motion(system, calculator)
    for _ in range(_STEPS):
        motion()
    return process_peak(), torch.cuda.max_memory_allocated() if has_gpu else None


def process_peak() -> int:
    """Most memory that this process had so far, bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(asdict(_measured(json.load(sys.stdin)))) + "\n")

"""What a precision costs and what it gives: speed and memory against errors and energy drift."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hydracalc.benchmark import clock, memory
from hydracalc.benchmark.clock import Effort
from hydracalc.benchmark.steps import Motion
from hydracalc.benchmark.systems import TEMPERATURE, System
from hydracalc.calculator import HydraCalculator
from hydracalc.simulation import MDConfig, run_md

REFERENCE = "float64"
PRECISIONS = (REFERENCE, "float32", "bfloat16")

# structures that errors are taken over, for each system
_COPIES = 4
_RATTLE = 0.05  # Angstrom, standard deviation


@dataclass(frozen=True, kw_only=True)
class PrecisionRow:
    """One precision on one structure.

    Attributes:
        dtype: of the matrix products.
        system: name of the structure.
        num_atoms: N.
        median_ms_per_step: of dynamics, all precisions in turns.
        peak_MiB: of a process that takes a few steps.
        energy_error_meV_per_atom: largest difference from float64.
        force_error_meV_per_A: root of the mean squared difference from float64.
        max_force_error_meV_per_A: largest difference of a component.
        drift_meV_per_atom_per_ps: slope of the total energy at constant energy.
        drift_ps: over how long a run.
        drift_K: temperature of its first velocities.
        timestep_fs: of the run.
    """

    dtype: str
    system: str
    num_atoms: int
    median_ms_per_step: float
    peak_MiB: float
    energy_error_meV_per_atom: float
    force_error_meV_per_A: float
    max_force_error_meV_per_A: float
    drift_meV_per_atom_per_ps: float
    drift_ps: float
    drift_K: float
    timestep_fs: float


@dataclass(frozen=True, kw_only=True)
class DriftRun:
    """The run that drift is taken from.

    Attributes:
        picoseconds: long.
        most_steps: where a step is so short that it would take more, the run is shorter.
    """

    picoseconds: float = 1.0
    most_steps: int = 2000


def compare_precisions(
    systems: Sequence[System],
    settings: Mapping[str, Any],
    *,
    effort: Effort,
    device: torch.device,
    drift: DriftRun,
) -> list[PrecisionRow]:
    """Every precision on every structure.

    Args:
        systems: structures.
        settings: arguments of the calculator apart from dtype, and "threads".
        effort: of the timing.
        device: that the settings mean.
        drift: run that drift is taken from.
    """
    arguments = {name: value for name, value in settings.items() if name != "threads"}
    calculators = {dtype: HydraCalculator(**(arguments | {"dtype": dtype})) for dtype in PRECISIONS}
    rows = []
    for system in systems:
        tasks = {dtype: Motion(system, calc) for dtype, calc in calculators.items()}
        times = clock.interleaved(tasks, effort=effort, device=device)
        exact = _results(system, calculators[REFERENCE])
        for dtype, calc in calculators.items():
            peak = memory.measure(system, {**settings, "dtype": dtype})
            slope, steps = _drift(system, calc, drift)
            rows.append(
                PrecisionRow(
                    dtype=dtype,
                    system=system.name,
                    num_atoms=system.num_atoms,
                    median_ms_per_step=float(np.median(times[dtype])),
                    peak_MiB=peak.device_peak_MiB or peak.peak_MiB,
                    **_errors(_results(system, calc), exact),
                    drift_meV_per_atom_per_ps=slope,
                    drift_ps=steps * system.timestep / 1000,
                    drift_K=TEMPERATURE,
                    timestep_fs=system.timestep,
                )
            )
    return rows


def _errors(
    found: tuple[np.ndarray, np.ndarray], exact: tuple[np.ndarray, np.ndarray]
) -> dict[str, float]:
    """Differences of energies per atom and of forces, meV."""
    energies, forces = (1000 * (a - b) for a, b in zip(found, exact, strict=True))
    return {
        "energy_error_meV_per_atom": float(np.abs(energies).max()),
        "force_error_meV_per_A": float(np.sqrt(np.mean(forces**2))),
        "max_force_error_meV_per_A": float(np.abs(forces).max()),
    }


def _results(system: System, calculator: HydraCalculator) -> tuple[np.ndarray, np.ndarray]:
    """Energies per atom, eV, (copies,), and forces, eV/Angstrom, (copies, N, 3), off rest."""
    rng = np.random.default_rng(0)
    copies = []
    for _ in range(_COPIES):
        atoms = system.atoms.copy()
        atoms.positions += rng.normal(0, _RATTLE, atoms.positions.shape)
        copies.append(atoms)
    found = calculator.evaluate(copies)
    energies = np.array([each["energy"] for each in found]) / system.num_atoms
    return energies, np.array([each["forces"] for each in found])


def _drift(system: System, calculator: HydraCalculator, run: DriftRun) -> tuple[float, int]:
    """Slope of the total energy, meV/atom/ps, and over how many steps."""
    steps = min(max(2, round(1000 * run.picoseconds / system.timestep)), run.most_steps)
    atoms = system.atoms.copy()
    atoms.calc = calculator
    config = MDConfig(
        ensemble="nve", timestep=system.timestep, steps=steps, log_every=1, temperature=TEMPERATURE
    )
    return run_md(atoms, config).drift_meV_per_atom_per_ps, steps

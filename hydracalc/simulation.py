"""Relaxation and molecular dynamics of a structure that has a calculator, and what came of it."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ase.io
import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.filters import FrechetCellFilter
from ase.md.bussi import Bussi
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE

from hydracalc.errors import DataError, unknown
from hydracalc.units import GIGAPASCAL

ENSEMBLES = ("nve", "nvt", "npt")
CELLS = ("none", "frechet")
TRAJECTORY_FORMATS = {".traj": "traj", ".extxyz": "extxyz", ".xyz": "extxyz"}

_PS = 1000 * units.fs

# time constants in steps, as the integrators' authors advise
_THERMOSTAT_STEPS = 100
_BAROSTAT_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class RelaxConfig:
    """How a structure is relaxed.

    Attributes:
        fmax: done when no force is larger, eV/Angstrom.
        steps: at most.
        cell: "none" keeps the cell, "frechet" relaxes it along with the atoms.
    """

    fmax: float = 0.05
    steps: int = 500
    cell: Literal["none", "frechet"] = "none"

    def __post_init__(self) -> None:
        _check_positive(self, "fmax", "steps")
        if self.cell not in CELLS:
            raise ValueError(unknown("cell", self.cell, CELLS))


@dataclass(frozen=True, kw_only=True)
class RelaxReport:
    """What a relaxation did: eV, eV/Angstrom, Angstrom^3 (None without a volume)."""

    converged: bool
    steps: int
    energy_start_eV: float
    energy_eV: float
    fmax_eV_per_A: float
    volume_A3: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class MDConfig:
    """How atoms move.

    Attributes:
        ensemble: "nve" (velocity Verlet), "nvt" (stochastic velocity rescaling, Bussi, Donadio and
            Parrinello, doi 10.1063/1.2408420) or "npt" (isotropic, Martyna, Tobias and Klein,
            doi 10.1063/1.467468).
        temperature: of the first velocities and of the thermostat, K.
        pressure: of the barostat, GPa.
        timestep: fs.
        steps: number of them.
        log_every: steps between lines of the log and frames of the trajectory.
        seed: of velocities and thermostat.
    """

    ensemble: Literal["nve", "nvt", "npt"] = "nvt"
    temperature: float = 300.0
    pressure: float = 0.0
    timestep: float = 1.0
    steps: int = 1000
    log_every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ensemble not in ENSEMBLES:
            raise ValueError(unknown("ensemble", self.ensemble, ENSEMBLES))
        _check_positive(self, "timestep", "steps", "log_every", "temperature")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected 0 or more")


@dataclass(frozen=True, kw_only=True)
class MDReport:
    """What a simulation did.

    Attributes:
        steps: done.
        ms_per_step: wall time of a step.
        mean_temperature_K: over the second half.
        drift_meV_per_atom_per_ps: slope of the conserved quantity: the total energy in nve; in nvt
            and npt that with what thermostat and barostat took.
        energy_start_eV, energy_end_eV: potential energy.
        velocities: where the first ones came from.
        files: written.
    """

    ensemble: str
    steps: int
    ms_per_step: float
    mean_temperature_K: float
    drift_meV_per_atom_per_ps: float
    energy_start_eV: float
    energy_end_eV: float
    velocities: str
    files: tuple[str, ...]


@dataclass
class _Record:
    """Numbers kept at every logged step."""

    times: list[float] = field(default_factory=list)  # ps
    conserved: list[float] = field(default_factory=list)  # eV
    temperatures: list[float] = field(default_factory=list)  # K
    energies: list[float] = field(default_factory=list)  # potential, eV
    kinetic: list[float] = field(default_factory=list)  # eV


def relax(atoms: Atoms, config: RelaxConfig) -> RelaxReport:
    """Move the atoms (and the cell) in place to a minimum of the energy.

    Raises:
        ValueError: the structure cannot be evaluated, or the cell of a structure without a volume
            was to be relaxed.
    """
    _check_cell(atoms, needed=config.cell != "none", purpose="relaxing the cell")
    start, began = atoms.get_potential_energy(), time.perf_counter()
    moving: Any = FrechetCellFilter(atoms) if config.cell == "frechet" else atoms
    silent: Any = None  # ASE takes it, its annotation does not say so
    optimizer = FIRE(moving, logfile=silent)
    with warnings.catch_warnings():
        # SciPy says so of strains that are 1e-12 off
        warnings.filterwarnings("ignore", message="logm result may be inaccurate")
        converged = bool(optimizer.run(fmax=config.fmax, steps=config.steps))
    has_volume = atoms.cell.rank == 3
    return RelaxReport(
        converged=converged,
        steps=int(optimizer.nsteps),
        energy_start_eV=float(start),
        energy_eV=float(atoms.get_potential_energy()),
        fmax_eV_per_A=float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
        volume_A3=float(atoms.get_volume()) if has_volume else None,
        seconds=time.perf_counter() - began,
    )


def run_md(
    atoms: Atoms,
    config: MDConfig,
    *,
    trajectory: Path | None = None,
    log: Path | None = None,
    show: Callable[[str], None] | None = None,
) -> MDReport:
    """Let the atoms move, in place.

    Velocities are drawn at the temperature unless the structure has some. In nve and nvt the centre
    of mass rests, and counts no degree of freedom, unless the structure has its own constraints.

    Args:
        atoms: with a calculator.
        config: how.
        trajectory: .traj, .extxyz or .xyz file for frames, replaced if it exists.
        log: text file for one line each `log_every` steps.
        show: also receives the lines.

    Raises:
        ValueError: the structure cannot be evaluated or simulated, or the trajectory's ending is
            not known.
        DataError: the simulation broke on the way; the message says at which step.
        OSError: a file cannot be written.
    """
    _check_simulated(atoms, config)
    frames = _Frames(atoms, trajectory)
    lines = _Lines(log, show)
    energy_start = float(atoms.get_potential_energy())
    rng = np.random.default_rng(config.seed)
    own_constraints = list(atoms.constraints)
    velocities = _start_velocities(atoms, config, rng)
    dynamics = _integrator(atoms, config, rng)
    record = _Record()

    def observe() -> None:
        _observe(dynamics, record)
        lines.add(_line(dynamics.nsteps, record))
        frames.add()

    dynamics.attach(observe, interval=config.log_every)
    lines.add(_HEADER)
    began = time.perf_counter()
    try:
        dynamics.run(config.steps)
        seconds = time.perf_counter() - began
        if config.steps % config.log_every:
            observe()  # the end is always written
    except ValueError as error:
        raise DataError(f"the simulation broke at step {dynamics.nsteps}: {error}") from error
    finally:
        frames.close()
        atoms.set_constraint(own_constraints)
    return MDReport(
        ensemble=config.ensemble,
        steps=config.steps,
        ms_per_step=1000 * seconds / config.steps,
        mean_temperature_K=float(np.mean(record.temperatures[len(record.temperatures) // 2 :])),
        drift_meV_per_atom_per_ps=_drift(record, len(atoms)),
        energy_start_eV=energy_start,
        energy_end_eV=float(atoms.get_potential_energy()),
        velocities=velocities,
        files=tuple(str(path) for path in (trajectory, log) if path is not None),
    )


_HEADER = "    step   time/ps   E_pot/eV       E_kin/eV      T/K    conserved/eV"


def _line(step: int, record: _Record) -> str:
    return (
        f"{step:8d} {record.times[-1]:9.4f} {record.energies[-1]:14.6f} {record.kinetic[-1]:12.6f} "
        f"{record.temperatures[-1]:8.1f} {record.conserved[-1]:15.6f}"
    )


class _Lines:
    """Lines of a simulation, to a file and to whoever wants to see them."""

    def __init__(self, path: Path | None, show: Callable[[str], None] | None) -> None:
        self._path = path
        self._show = show
        if path is not None:
            path.write_text("")

    def add(self, line: str) -> None:
        """Write one line so that a reader sees it at once."""
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(line + "\n")
        if self._show is not None:
            self._show(line)


def _observe(dynamics: MolecularDynamics, record: _Record) -> None:
    atoms = dynamics.atoms
    record.times.append(dynamics.nsteps * dynamics.dt / _PS)
    record.energies.append(float(atoms.get_potential_energy()))
    record.kinetic.append(float(atoms.get_kinetic_energy()))
    record.temperatures.append(float(atoms.get_temperature()))
    record.conserved.append(_conserved(dynamics))


def _conserved(dynamics: MolecularDynamics) -> float:
    """The energy that an exact integration would keep, eV."""
    if isinstance(dynamics, IsotropicMTKNPT):
        return float(dynamics.get_conserved_energy())
    taken = dynamics.transferred_energy if isinstance(dynamics, Bussi) else 0.0
    return float(dynamics.atoms.get_total_energy() - taken)


def _drift(record: _Record, num_atoms: int) -> float:
    """Slope of the conserved quantity, meV/atom/ps."""
    centred = np.array(record.times) - np.mean(record.times)
    slope = centred @ np.array(record.conserved) / (centred @ centred)
    return float(1000 * slope / num_atoms)


def _start_velocities(atoms: Atoms, config: MDConfig, rng: np.random.Generator) -> str:
    if config.ensemble != "npt" and not atoms.constraints:
        atoms.set_constraint(FixCom())
    if atoms.has("momenta") and atoms.get_momenta().any():
        return "of the structure"
    thermalize_momenta(atoms, config.temperature, rng=rng)
    if config.ensemble == "npt":
        Stationary(atoms)
    return f"drawn at {config.temperature:g} K"


def _integrator(atoms: Atoms, config: MDConfig, rng: np.random.Generator) -> MolecularDynamics:
    step = config.timestep * units.fs
    if config.ensemble == "nve":
        return VelocityVerlet(atoms, step)
    damping = _THERMOSTAT_STEPS * step
    if config.ensemble == "nvt":
        return Bussi(atoms, step, temperature_K=config.temperature, taut=damping, rng=rng)
    return IsotropicMTKNPT(
        atoms,
        step,
        temperature_K=config.temperature,
        pressure_au=config.pressure * GIGAPASCAL,
        tdamp=damping,
        pdamp=_BAROSTAT_STEPS * step,
    )


class _Frames:
    """A trajectory that starts empty; without a path its frames go nowhere."""

    def __init__(self, atoms: Atoms, path: Path | None) -> None:
        if path is not None and path.suffix not in TRAJECTORY_FORMATS:
            raise ValueError(unknown("trajectory format", path.suffix, TRAJECTORY_FORMATS))
        self._atoms = atoms
        self._path = path
        self._file: Any = None
        if path is None:
            return
        path.write_bytes(b"")  # an unwritable place is found before the first step
        if TRAJECTORY_FORMATS[path.suffix] == "traj":
            self._file = ase.io.Trajectory(path, "w", atoms)

    def add(self) -> None:
        """Write the atoms as they are now."""
        if self._file is not None:
            self._file.write()
        elif self._path is not None:
            ase.io.write(self._path, self._atoms, format="extxyz", append=True)

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()


def _check_simulated(atoms: Atoms, config: MDConfig) -> None:
    if len(atoms) < 2:
        raise ValueError(f"dynamics needs at least 2 atoms, the structure has {len(atoms)}")
    if config.ensemble != "npt":
        return
    _check_cell(atoms, needed=True, purpose="npt")
    if not atoms.pbc.all() or atoms.constraints:
        raise ValueError("npt needs a structure periodic in all directions, without constraints")


def _check_cell(atoms: Atoms, *, needed: bool, purpose: str) -> None:
    if needed and not (atoms.pbc.any() and atoms.cell.rank == 3):
        raise ValueError(
            f"{purpose} needs a periodic structure whose cell has a volume; "
            f"pbc is {atoms.pbc.tolist()}, cell {atoms.cell.cellpar().tolist()}"
        )


def _check_positive(config: Any, *names: str) -> None:  # noqa: ANN401
    for name in names:
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} is {getattr(config, name)}, expected a positive number")

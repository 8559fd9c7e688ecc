"""How well long dynamics without a thermostat keeps its energy: a molecule and three crystals."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator

from hydracalc.calculator import HydraCalculator
from hydracalc.errors import DataError
from hydracalc.simulation import MDConfig, RelaxConfig, relax, run_md

TEMPERATURE = 300.0  # K
DRIFT_BAR = 0.1  # meV/atom/ps
SHORT = 0.1  # part of the time that a short run takes
_WARM_UP = 2.0  # ps with a thermostat beforehand
_LOG_EVERY = 10  # steps


@dataclass(frozen=True, kw_only=True)
class Motion:
    """What moves, for how long.

    Attributes:
        make: the structure; crystals at the experimental lattice constant.
        timestep: fs.
        picoseconds: of the run that the slope is taken from.
        branches: names of datasets that are about such structures; "auto" besides.
    """

    make: Callable[[], Atoms]
    timestep: float
    picoseconds: float
    branches: tuple[str, ...]


_CRYSTAL_BRANCHES = ("mptrj",)
MOTIONS = {
    "ethanol": Motion(
        make=lambda: molecule("CH3CH2OH"),
        timestep=0.5,
        picoseconds=50,
        branches=("rmd17", "ani1x"),
    ),
    "Si": Motion(
        make=lambda: bulk("Si", "diamond", a=5.431, cubic=True) * (2, 2, 2),
        timestep=1.0,
        picoseconds=20,
        branches=_CRYSTAL_BRANCHES,
    ),
    "NaCl": Motion(
        make=lambda: bulk("NaCl", "rocksalt", a=5.640, cubic=True) * (2, 2, 2),
        timestep=1.0,
        picoseconds=20,
        branches=_CRYSTAL_BRANCHES,
    ),
    "Cu": Motion(
        make=lambda: bulk("Cu", "fcc", a=3.615) * (4, 4, 4),
        timestep=2.0,
        picoseconds=20,
        branches=_CRYSTAL_BRANCHES,
    ),
}


@dataclass(frozen=True, kw_only=True)
class DriftRun:
    """One run.

    Attributes:
        system: name in `MOTIONS`.
        num_atoms: N.
        branch: who answered.
        dtype: of the calculation.
        timestep_fs, picoseconds: of the run.
        drift_meV_per_atom_per_ps: slope of the total energy; None where the run broke off.
        spread_meV_per_atom: standard deviation of the total energy about its mean.
        mean_temperature_K: over the second half.
        remark: why it broke off, else empty.
    """

    system: str
    num_atoms: int
    branch: str
    dtype: str
    timestep_fs: float
    picoseconds: float
    drift_meV_per_atom_per_ps: float | None  # noqa: N815
    spread_meV_per_atom: float | None = None  # noqa: N815
    mean_temperature_K: float | None = None  # noqa: N815
    remark: str = ""

    @property
    def passes(self) -> bool:
        """Whether the slope is small enough, up or down."""
        drift = self.drift_meV_per_atom_per_ps
        return drift is not None and abs(drift) < DRIFT_BAR

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text."""
        return {**asdict(self), "passes": self.passes}


def measure_drift(
    calculator: Calculator, system: str, *, branch: str, short: bool = False, seed: int = 0
) -> DriftRun:
    """Drift of one system: relaxed, 2 ps at 300 K with a thermostat, then without.

    Args:
        calculator: with energy and forces.
        system: name in `MOTIONS`.
        branch: what the calculator is, in words.
        short: a tenth of the time.
        seed: of velocities and thermostat.
    """
    motion = MOTIONS[system]
    atoms = motion.make()
    atoms.calc = calculator
    picoseconds = motion.picoseconds * (SHORT if short else 1.0)
    run = DriftRun(
        system=system,
        num_atoms=len(atoms),
        branch=branch,
        dtype=str(calculator.parameters.get("dtype", "float64")),
        timestep_fs=motion.timestep,
        picoseconds=picoseconds,
        drift_meV_per_atom_per_ps=None,
    )
    energies: list[float] = []
    try:
        relax(atoms, RelaxConfig())
        run_md(atoms, _config(motion, "nvt", _WARM_UP, seed))
        report = run_md(
            atoms,
            _config(motion, "nve", picoseconds, seed),
            show=lambda _: energies.append(float(atoms.get_total_energy())),
        )
    except (DataError, ValueError) as error:
        return replace(run, remark=str(error))
    if not np.isfinite(report.drift_meV_per_atom_per_ps):
        return replace(run, remark="energies are not finite")
    return replace(
        run,
        drift_meV_per_atom_per_ps=report.drift_meV_per_atom_per_ps,
        # the first is told with the heading
        spread_meV_per_atom=1000 * float(np.std(energies[1:])) / len(atoms),
        mean_temperature_K=report.mean_temperature_K,
    )


def _config(motion: Motion, ensemble: str, picoseconds: float, seed: int) -> MDConfig:
    return MDConfig(
        ensemble=ensemble,  # type: ignore[arg-type]
        temperature=TEMPERATURE,
        timestep=motion.timestep,
        steps=round(1000 * picoseconds / motion.timestep),
        log_every=_LOG_EVERY,
        seed=seed,
    )


def choices_of(calculator: HydraCalculator, system: str) -> list[str]:
    """Branches that a system is measured with: those about such structures, and the default."""
    motion = MOTIONS[system]
    known = set(motion.make().numbers.tolist())
    named = [name for name in motion.branches if name in calculator.branches]
    able = [n for n in named if known <= set(calculator.with_branch(n).allowed_atomic_numbers)]
    default = str(calculator.parameters["branch"])
    return able if default in able else [*able, default]

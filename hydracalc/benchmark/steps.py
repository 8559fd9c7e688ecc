"""Time of a step of molecular dynamics through the ASE calculator, over sizes and branches."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from hydracalc.benchmark import clock
from hydracalc.benchmark.clock import Effort, Timing
from hydracalc.benchmark.systems import System
from hydracalc.calculator import HydraCalculator

# below this many atoms a step has a constant part that hides how the cost grows
FIT_FROM = 200

FIVE = 5


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """Steps of velocity Verlet of one structure.

    Attributes:
        system: its name.
        num_atoms: N.
        timing: of single steps, ms.
        atoms_per_s: atoms times steps in a second, at the median.
    """

    system: str
    num_atoms: int
    timing: Timing
    atoms_per_s: float


@dataclass(frozen=True, kw_only=True)
class MixtureTime:
    """Steps with several branches against steps with one, in turns.

    Attributes:
        system: name of the structure.
        choice: branches that have a weight, in words.
        num_branches: of them.
        median_ms: with those, ms/step.
        one_median_ms: with one branch, ms/step.
        ratio: of the first to the second, median over rounds.
    """

    system: str
    choice: str
    num_branches: int
    median_ms: float
    one_median_ms: float
    ratio: float


class Motion:
    """A copy of a structure in velocity Verlet, one step for each call.

    Args:
        system: what moves.
        calculator: what drives it.
    """

    def __init__(self, system: System, calculator: HydraCalculator) -> None:
        self.atoms: Atoms = system.atoms.copy()
        self.atoms.calc = calculator
        self._dynamics = VelocityVerlet(self.atoms, system.timestep * units.fs)

    def __call__(self) -> None:
        """One step: forces, positions, momenta."""
        self._dynamics.step()


def time_steps(
    system: System, calculator: HydraCalculator, *, effort: Effort, device: torch.device
) -> StepTime:
    """Time of a step, single steps measured after the warm-up."""
    motion = Motion(system, calculator)
    times = clock.interleaved({system.name: motion}, effort=effort, device=device)[system.name]
    timing = clock.summary(times)
    return StepTime(
        system=system.name,
        num_atoms=system.num_atoms,
        timing=timing,
        atoms_per_s=1000 * system.num_atoms / timing.median_ms,
    )


def exponent(num_atoms: Sequence[int], ms: Sequence[float], *, above: int = FIT_FROM) -> float:
    """Slope of log(time) over log(atoms): 1 where twice the atoms take twice the time.

    Args:
        num_atoms: sizes.
        ms: time at each of them.
        above: sizes below are left out.

    Raises:
        ValueError: fewer than two sizes are left.
    """
    used = [(n, t) for n, t in zip(num_atoms, ms, strict=True) if n >= above]
    if len({n for n, _ in used}) < 2:
        raise ValueError(f"the exponent needs two sizes from {above} atoms on, got {num_atoms}")
    logs = np.log(np.array(used))
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def time_mixtures(
    system: System, calculator: HydraCalculator, *, effort: Effort, device: torch.device
) -> list[MixtureTime]:
    """Steps with five branches, and with all that know the structure, against one of them.

    Returns:
        nothing where fewer than two branches know the structure.
    """
    able = knowing(calculator, set(system.atoms.numbers.tolist()))
    counts = sorted({min(FIVE, len(able)), len(able)} - {0, 1})
    if not counts:
        return []
    choices: dict[str, str | dict[str, float]] = {able[0]: able[0]}
    for count in counts:
        choices[f"mixture of {count}"] = {name: 1 / count for name in able[:count]}
    tasks = {
        words: Motion(system, calculator.with_branch(choice)) for words, choice in choices.items()
    }
    times = clock.interleaved(tasks, effort=effort, device=device)
    one = times[able[0]]
    return [
        MixtureTime(
            system=system.name,
            choice=", ".join(able[:count]),
            num_branches=count,
            median_ms=float(np.median(times[f"mixture of {count}"])),
            one_median_ms=float(np.median(one)),
            ratio=clock.ratio(times[f"mixture of {count}"], one),
        )
        for count in counts
    ]


def knowing(calculator: HydraCalculator, atomic_numbers: Collection[int]) -> list[str]:
    """Branches that know all of these elements."""
    return [
        name
        for name in calculator.branches
        if set(atomic_numbers) <= set(calculator.with_branch(name).allowed_atomic_numbers)
    ]

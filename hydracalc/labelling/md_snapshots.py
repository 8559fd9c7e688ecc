"""Structures to label from molecular dynamics with any ASE calculator."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.parallel import DummyMPI

from hydracalc.labelling.generators import OVERLAP, child_of, overlaps, stream_seed
from hydracalc.structure import AtomicStructure

FLOWN_APART = "dynamics left the finite numbers"
FAILED = "dynamics: calculator failed"

MakeCalculator = Callable[[AtomicStructure], Calculator]


@dataclass(frozen=True, kw_only=True)
class DynamicsConfig:
    """Langevin dynamics at constant volume.

    Attributes:
        temperatures: K; each parent has one trajectory at each.
        snapshots: taken of each trajectory.
        interval: time steps between them.
        equilibration: time steps before the first.
        timestep: fs.
        friction: 1/fs.
        seed: of velocities and thermostat.
        min_distance: smallest distance of two atoms, as a fraction of the sum of their covalent
            radii; snapshots with a smaller one are left out and counted.

    Raises:
        ValueError: a number is out of its range.
    """

    temperatures: tuple[float, ...] = (300.0, 600.0, 1000.0)
    snapshots: int = 10
    interval: int = 50
    equilibration: int = 200
    timestep: float = 0.5
    friction: float = 0.02
    seed: int = 0
    min_distance: float = 0.5

    def __post_init__(self) -> None:
        for name in ("snapshots", "interval", "timestep", "friction"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a positive number")
        if self.equilibration < 0:
            raise ValueError(f"equilibration is {self.equilibration}, expected at least 0")
        if not self.temperatures or not all(t > 0 for t in self.temperatures):
            raise ValueError(
                f"temperatures are {list(self.temperatures)}, expected positive numbers, K"
            )
        if len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError(f"temperatures are {list(self.temperatures)}, expected each once")
        if not 0 <= self.min_distance < 1:
            raise ValueError(f"min_distance is {self.min_distance}, expected 0 to below 1")


class Dynamics:
    """Snapshots of dynamics; a child is a whole trajectory, so children are several structures.

    Attributes:
        config: how it runs.
    """

    kind: ClassVar[str] = "md"

    def __init__(self, config: DynamicsConfig, make_calculator: MakeCalculator) -> None:
        """Nothing runs yet.

        Args:
            config: how it runs.
            make_calculator: of a parent; the forces of the dynamics, not the labels.
        """
        self.config = config
        self._make_calculator = make_calculator

    @property
    def num_children(self) -> int:
        """Trajectories."""
        return len(self.config.temperatures)

    def children(
        self, parent: AtomicStructure, numbers: range, dropped: Counter[str]
    ) -> Iterator[AtomicStructure]:
        """Snapshots of trajectories by number; one that fails is counted, its start is kept."""
        for number in numbers:
            yield from self._trajectory(parent, self.config.temperatures[number], dropped)

    def _trajectory(
        self, parent: AtomicStructure, temperature: float, dropped: Counter[str]
    ) -> Iterator[AtomicStructure]:
        config = self.config
        atoms = as_atoms(parent)
        atoms.calc = self._make_calculator(parent)
        seed = stream_seed(config.seed, self.kind, parent.source, repr(temperature))
        rng = np.random.default_rng(seed)
        alone = DummyMPI()  # under MPI every rank has trajectories of its own
        thermalize_momenta(atoms, temperature, comm=alone, rng=rng)
        langevin = Langevin(
            atoms,
            config.timestep * units.fs,
            temperature_K=temperature,
            friction=config.friction / units.fs,
            fixcm=False,  # a drift of the whole changes no label
            rng=rng,
            comm=alone,
        )
        for snapshot in range(config.snapshots):
            steps = config.interval + (config.equilibration if snapshot == 0 else 0)
            failure = _advance(langevin, atoms, steps)
            if failure is not None:
                dropped[failure] += config.snapshots - snapshot
                return
            name = f"{self.kind}-{temperature:g}K-{snapshot:04d}"
            child = child_of(parent, name, positions=atoms.positions.copy())
            if overlaps(child, config.min_distance):
                dropped[OVERLAP] += 1
            else:
                yield child


def _advance(langevin: Langevin, atoms: Atoms, steps: int) -> str | None:
    """Run some steps; returns why that failed, None where it did not."""
    try:
        langevin.run(steps)
    except Exception as error:  # noqa: BLE001  # calculators raise what they like
        return f"{FAILED} ({type(error).__name__})"
    return None if np.isfinite(atoms.positions).all() else FLOWN_APART


def as_atoms(structure: AtomicStructure) -> Atoms:
    """ASE's Atoms of a structure, charge and spin multiplicity in `info`."""
    return Atoms(
        numbers=structure.atomic_numbers,
        positions=structure.positions,
        cell=structure.cell,
        pbc=structure.pbc,
        info={"charge": structure.total_charge, "spin": structure.spin_multiplicity},
    )

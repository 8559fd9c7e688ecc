"""How finely a calculator's energy is resolved, and the pass marks that follow from it.

Every mark is the sum of what physics asks for, whatever the arithmetic, and what rounding costs a
sound model. Marks never follow from how rough a calculator is: one that is noisier than float32
has those of float32, and fails them.
"""

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from hydracalc.exam.findings import Measurement
from hydracalc.exam.subject import Answer, Subject

# what physics asks for
_ENERGY = 1e-6  # eV/atom: differences of phases and barriers are told to 1e-3
_FORCE = 1e-6  # eV/Angstrom: relaxations for phonons end at 1e-5 and above
_JACOBIAN = 1e-6  # eV/Angstrom^2: frequencies come from its square root

# roundings that a sum over neighbors and layers adds up, in units of the type's last digit
_ENERGY_ROUNDINGS = 100  # of numbers of 1 eV
_FORCE_ROUNDINGS = 1000  # of 1 eV/Angstrom, which are small differences of larger ones

# distance of two points between which a float32 of some Angstrom has at least ten steps, and
# fourth differences of an energy of atoms are far below float64's last digit
_NEAR = 1e-5  # Angstrom
_POINTS = 12
_FINE = 1e-9  # noise per atom that only float64 stays below, eV


@dataclass(frozen=True, kw_only=True)
class Precision:
    """What rounding does to a calculator's numbers.

    Attributes:
        name: "float64" or "float32".
        noise: irregularity of the energy between nearest positions, eV.
        rounded_energy: whether total energies are float32 numbers.
    """

    name: str
    noise: float
    rounded_energy: bool

    @property
    def epsilon(self) -> float:
        """Distance from 1 to the next number."""
        return float(np.finfo(self.name).eps)

    @property
    def steps(self) -> tuple[float, ...]:
        """Of finite differences of sixth order, Angstrom, largest first.

        The truncation error of the first is about as small as rounding. The others are for where
        a neighbor crosses a cutoff within a step.
        """
        return (0.002, 0.0003) if self.name == "float64" else (0.02, 0.005)

    @property
    def force_rounding(self) -> float:
        """Rounding error of a force in a sound model, eV/Angstrom."""
        return _FORCE_ROUNDINGS * self.epsilon

    @property
    def energy_rounding(self) -> float:
        """Rounding error of an atom's energy in a sound model, eV."""
        return _ENERGY_ROUNDINGS * self.epsilon

    def last_digit(self, energy: float) -> float:
        """Distance of the energies that the calculator can state, eV."""
        return float(np.spacing(np.float32(abs(energy)))) if self.rounded_energy else 0.0

    def energy_mark(self, energy: float, num_atoms: int) -> float:
        """Largest difference of energies that should be equal, eV/atom."""
        return _ENERGY + self.energy_rounding + 2 * self.last_digit(energy) / num_atoms

    @property
    def force_mark(self) -> float:
        """Largest difference of forces that should be equal, eV/Angstrom or, of larger, a part."""
        return _FORCE + self.force_rounding

    @property
    def jacobian_mark(self) -> float:
        """Largest error of dF/dr by finite differences, as a part of it or of 1 eV/Angstrom^2."""
        return _JACOBIAN + self.force_rounding / self.steps[0]

    def slope_mark(self, energy: float) -> float:
        """Largest error of a slope of the energy by finite differences, eV/Angstrom."""
        return _FORCE + (self.energy_rounding + 2 * self.last_digit(energy)) / self.steps[0]


def measure_precision(subject: Subject, atoms: Atoms) -> Precision:
    """How finely a calculator resolves the energy of a structure.

    The noise is the scatter that fourth differences have between points so near to each other
    that a smooth function has none [More and Wild, SIAM J. Sci. Comput. 33, 1292 (2011), doi
    10.1137/100786125, sec. 3].

    Raises:
        Refused: the calculator has no energy for it.
    """
    direction = np.random.default_rng(0).normal(size=atoms.positions.shape)
    energies = []
    for point in range(_POINTS):
        moved = atoms.copy()
        moved.positions += point * _NEAR * direction
        energies.append(subject.energy(moved))
    values = np.array(energies)
    # of independent errors of variance 1, fourth differences have the variance 8! / 4!^2 = 70
    noise = float(np.sqrt(np.mean(np.diff(values, n=4) ** 2) / 70))
    rounded = bool((values == values.astype(np.float32)).all() and np.abs(values).max() > 0)
    is_fine = noise <= _FINE * len(atoms) and not rounded
    return Precision(name="float64" if is_fine else "float32", noise=noise, rounded_energy=rounded)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Two answers that physics says are the same, and where they were asked for.

    Attributes:
        expected: energy and forces.
        found: energy and forces, brought to the same frame, order and size.
        num_atoms: that the energy is of.
        where: structure.
    """

    expected: Answer
    found: Answer
    num_atoms: int
    where: str

    def measurements(self, precision: Precision) -> list[Measurement]:
        """Differences of energy and, where there are any, of forces."""
        difference = abs(self.found.energy - self.expected.energy) / self.num_atoms
        rounding = (
            f"{_ENERGY:g} of physics, {_ENERGY_ROUNDINGS} roundings of 1 eV in {precision.name}"
        )
        made = [
            Measurement(
                quantity="energy",
                value=difference,
                mark=precision.energy_mark(self.expected.energy, self.num_atoms),
                unit="eV/atom",
                why=rounding,
                where=self.where,
            )
        ]
        if self.expected.forces is not None and self.found.forces is not None:
            made.append(self._of_forces(precision))
        return made

    def _of_forces(self, precision: Precision) -> Measurement:
        assert self.expected.forces is not None
        assert self.found.forces is not None
        error = np.abs(self.found.forces - self.expected.forces).max()
        return Measurement(
            quantity="forces",
            value=float(error / force_scale(self.expected.forces)),
            mark=precision.force_mark,
            unit="eV/A",
            why=f"{_FORCE:g} of physics, {_FORCE_ROUNDINGS} roundings of 1 eV/A in "
            f"{precision.name}; of forces above 1 eV/A, this part",
            where=self.where,
        )


def force_scale(forces: np.ndarray) -> float:
    """1, or the largest force where it is larger: errors are told as a part of it."""
    return max(1.0, float(np.abs(forces).max()))

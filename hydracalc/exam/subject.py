"""Who is examined: any ASE calculator, asked for energy, forces and stress and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from hydracalc.structure import AtomicStructure, from_atoms

MakeCalculator = Callable[[AtomicStructure], Calculator]


class Refused(Exception):
    """The calculator has no answer; the message says why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """Energy, eV; forces, eV/Angstrom, (N, 3), None where the calculator has none."""

    energy: float
    forces: np.ndarray | None

    @property
    def known_forces(self) -> np.ndarray:
        """The forces.

        Raises:
            Refused: there are none.
        """
        if self.forces is None:
            raise Refused("the calculator has no forces")
        return self.forces


class Subject:
    """A calculator under examination.

    Args:
        given: the calculator, or what makes one that fits the charge and spin of a structure.
    """

    def __init__(self, given: Calculator | MakeCalculator) -> None:
        self._given = given

    def calculator(self, atoms: Atoms) -> Calculator:
        """The calculator for a structure.

        Raises:
            Refused: there is none for it.
        """
        if isinstance(self._given, Calculator):
            return self._given
        try:
            return self._given(from_atoms(atoms))
        except Exception as error:  # made by whatever the user named
            raise Refused(_in_words(error)) from error

    def properties(self, atoms: Atoms) -> set[str]:
        """What the calculator says it can tell."""
        return set(self.calculator(atoms).implemented_properties)

    def energy(self, atoms: Atoms) -> float:
        """Potential energy, eV.

        Raises:
            Refused: the calculator has none for this structure.
        """
        return float(self._ask(atoms, Atoms.get_potential_energy))

    def answer(self, atoms: Atoms) -> Answer:
        """Energy and forces.

        Raises:
            Refused: the calculator has no energy for this structure, or fails.
        """
        forces = None
        if "forces" in self.properties(atoms):
            # forces before energy: programs then need not be asked twice
            forces = np.array(self._ask(atoms, Atoms.get_forces))
        return Answer(energy=self.energy(atoms), forces=forces)

    def forces(self, atoms: Atoms) -> np.ndarray:
        """Forces, eV/Angstrom, (N, 3).

        Raises:
            Refused: there are none.
        """
        return self.answer(atoms).known_forces

    def stress(self, atoms: Atoms) -> np.ndarray:
        """Stress of a crystal, tension positive, eV/Angstrom^3, (3, 3).

        Raises:
            Refused: there is none.
        """
        if not atoms.pbc.all():
            raise Refused("not periodic in all directions, so without stress")
        if "stress" not in self.properties(atoms):
            raise Refused("the calculator has no stress")
        return np.array(self._ask(atoms, lambda asked: asked.get_stress(voigt=False)))

    def _ask(self, atoms: Atoms, question: Callable[[Atoms], object]) -> np.ndarray:
        asked = atoms.copy()
        asked.set_constraint()  # forces are those of the energy, not what is left to move
        calculator = self.calculator(atoms)
        try:
            asked.calc = calculator  # some refuse elements here
            return np.asarray(question(asked), dtype=np.float64)
        except Exception as error:  # calculators raise what they like
            raise Refused(_in_words(error)) from error


def _in_words(error: Exception) -> str:
    """The first line of an error."""
    lines = str(error).splitlines() or [""]
    return f"the calculator raised {type(error).__name__}: {lines[0]}".rstrip(": ")

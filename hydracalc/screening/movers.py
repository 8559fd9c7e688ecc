"""What moves of a structure that is relaxed: its atoms alone, or its cell along with them."""

from dataclasses import replace
from typing import Protocol

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import FrechetCellFilter
from ase.stress import full_3x3_to_voigt_6_stress

from hydracalc.predictor import has_stress
from hydracalc.structure import AtomicStructure


class Mover(Protocol):
    """A structure as coordinates and the forces on them.

    Attributes:
        structure: as it is now.
        size: rows of the coordinates.
    """

    structure: AtomicStructure
    size: int

    def forces(self, forces: np.ndarray, stress: np.ndarray | None) -> np.ndarray:
        """Forces on the coordinates, (size, 3).

        Args:
            forces: on the atoms, eV/Angstrom, (N, 3).
            stress: eV/Angstrom^3, (3, 3).
        """
        ...

    def move(self, increment: np.ndarray) -> None:
        """Change the coordinates, (size, 3)."""
        ...


class MovingAtoms:
    """Only the atoms move."""

    def __init__(self, structure: AtomicStructure) -> None:
        self.structure = structure
        self.size = structure.num_atoms

    def forces(self, forces: np.ndarray, stress: np.ndarray | None) -> np.ndarray:
        """The forces on the atoms."""
        return forces

    def move(self, increment: np.ndarray) -> None:
        """Change the positions."""
        self.structure = replace(self.structure, positions=self.structure.positions + increment)


class MovingCell:
    """Atoms and cell move together, in the coordinates of ASE's FrechetCellFilter.

    Raises:
        ValueError: the cell has no volume, or a direction is open.
    """

    def __init__(self, structure: AtomicStructure) -> None:
        if not (has_stress(structure) and structure.pbc.any()):
            raise ValueError("the cell cannot be relaxed: it has no volume, or is not periodic")
        self.structure = structure
        self._atoms = Atoms(
            numbers=structure.atomic_numbers,
            positions=structure.positions,
            cell=structure.cell,
            pbc=structure.pbc,
        )
        self._filter = FrechetCellFilter(self._atoms)
        self.size = structure.num_atoms + 3

    def forces(self, forces: np.ndarray, stress: np.ndarray | None) -> np.ndarray:
        """Forces on the undeformed positions and on the logarithm of the deformation."""
        assert stress is not None  # the cell has a volume
        voigt = full_3x3_to_voigt_6_stress(stress)
        self._atoms.calc = SinglePointCalculator(self._atoms, forces=forces, stress=voigt)
        return np.asarray(self._filter.get_forces())

    def move(self, increment: np.ndarray) -> None:
        """Change positions and cell."""
        self._filter.set_positions(self._filter.get_positions() + increment)
        self.structure = replace(
            self.structure,
            positions=self._atoms.positions.copy(),
            cell=self._atoms.cell.array.copy(),
        )

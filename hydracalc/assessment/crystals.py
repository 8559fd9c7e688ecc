"""Relaxed lattice constants of elements against experiment, on their own lattice."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers, reference_states
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

from hydracalc.calculator import HydraCalculator

# lattice type and experimental constants are those of ase.data.reference_states
ELEMENTS = (
    *("Li", "Na", "K", "V", "Cr", "Fe", "Nb", "Mo", "Ta", "W"),  # bcc
    *("Al", "Ca", "Ni", "Cu", "Rh", "Pd", "Ag", "Ir", "Pt", "Au", "Pb"),  # fcc
    *("C", "Si", "Ge"),  # diamond
    *("Be", "Mg", "Ti", "Zn", "Zr", "Ru"),  # hcp
)
TOLERANCE = 0.05
WITHIN_BAR = 25

# cells begin here, in units of experiment: at it, and outside what counts as right on either side
STARTS = (1.0, 0.94, 1.06)
_FMAX = 0.005  # eV/Angstrom; of the cell, of its strain times the number of atoms
_STEPS = 300
_MAX_MOVE = 0.05  # Angstrom a step: a soft start does not leap over the minimum


@dataclass(frozen=True, kw_only=True)
class LatticeConstants:
    """One element.

    Attributes:
        element: symbol.
        lattice: "fcc", "bcc", "diamond" or "hcp".
        branch: who answered.
        experiment_A: a, and c of hcp.
        found_A: the same, relaxed from experiment.
        from_others_A: the same, relaxed from 6 % below and above.
        worst: largest relative error of the constants relaxed from experiment.
        worst_of_all: the same of all three relaxations.
    """

    element: str
    lattice: str
    branch: str
    experiment_A: list[float]
    found_A: list[float]
    from_others_A: list[list[float]]
    worst: float
    worst_of_all: float

    @property
    def passes(self) -> bool:
        """Whether relaxation from experiment ends near it."""
        return abs(self.worst) <= TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text."""
        return {**asdict(self), "passes": self.passes}


def experiment(element: str) -> tuple[str, list[float]]:
    """Lattice type and constants of an element, Angstrom, as ASE states them.

    Raises:
        ValueError: it is none of fcc, bcc, diamond, hcp.
    """
    state: dict[str, Any] = reference_states[atomic_numbers[element]] or {}
    lattice = state.get("symmetry")
    if lattice in ("fcc", "bcc", "diamond"):
        return str(lattice), [float(state["a"])]
    if lattice == "hcp":
        return str(lattice), [float(state["a"]), float(state["a"] * state["c/a"])]
    raise ValueError(f"{element} is {lattice}, expected fcc, bcc, diamond or hcp")


def measure_lattice(
    calculator: Calculator, element: str, *, branch: str, starts: Sequence[float] = STARTS
) -> LatticeConstants:
    """Relaxed lattice constants of one element.

    Args:
        calculator: with energy, forces and stress.
        element: symbol.
        branch: what the calculator is, in words.
        starts: where cells begin, in units of experiment; the first counts.

    Raises:
        ValueError: the element's lattice is none that is known here.
    """
    lattice, expected = experiment(element)
    found = [_relaxed(calculator, element, lattice, scale) for scale in starts]
    errors = [[a / b - 1 for a, b in zip(each, expected, strict=True)] for each in found]
    return LatticeConstants(
        element=element,
        lattice=lattice,
        branch=branch,
        experiment_A=expected,
        found_A=found[0],
        from_others_A=found[1:],
        worst=max(errors[0], key=abs),
        worst_of_all=max((e for each in errors for e in each), key=abs),
    )


def measure_lattices(
    calculator: HydraCalculator, elements: Sequence[str] = ELEMENTS
) -> tuple[list[LatticeConstants], list[str]]:
    """Lattice constants of the elements that the calculator knows, and the symbols of the rest."""
    known = set(calculator.allowed_atomic_numbers)
    able = [element for element in elements if atomic_numbers[element] in known]
    rest = [element for element in elements if element not in able]
    branch = str(calculator.parameters["branch"])
    return [measure_lattice(calculator, element, branch=branch) for element in able], rest


def _relaxed(calculator: Calculator, element: str, lattice: str, scale: float) -> list[float]:
    """Constants after relaxation of the cell: symmetry keeps hcp, a single strain the cubic."""
    _, constants = experiment(element)
    a = constants[0] * scale
    if lattice == "hcp":
        atoms = bulk(element, "hcp", a=a, c=constants[1] * scale)
    else:
        atoms = bulk(element, lattice, a=a)
    atoms.calc = calculator
    moving = FrechetCellFilter(atoms, hydrostatic_strain=lattice != "hcp")
    silent: Any = None  # ASE takes it, its annotation does not say so
    FIRE(moving, logfile=silent, maxstep=_MAX_MOVE).run(fmax=_FMAX, steps=_STEPS)
    return _constants(atoms, lattice)


def _constants(atoms: Atoms, lattice: str) -> list[float]:
    if lattice == "hcp":
        lengths = atoms.cell.lengths()
        return [float(lengths[0]), float(lengths[2])]
    lattice_points = {"fcc": 4, "bcc": 2, "diamond": 4}[lattice]  # of the cubic cell
    return [float(np.cbrt(lattice_points * atoms.get_volume()))]

"""Chemical elements by atomic number: symbols, and the check that a number is one."""

from collections.abc import Iterable

import numpy as np
from ase.data import atomic_numbers as _number_of_symbol
from ase.data import chemical_symbols

MAX_ATOMIC_NUMBER = 118
NUM_ELEMENTS = MAX_ATOMIC_NUMBER + 1  # tables are indexed by Z, row 0 is unused


def symbol(atomic_number: int) -> str:
    """Symbol of one element, "Si" for 14."""
    return chemical_symbols[atomic_number]


def symbols(atomic_numbers: Iterable[int]) -> list[str]:
    """Symbols of several elements in order of atomic number, each once."""
    return [chemical_symbols[z] for z in sorted({int(z) for z in atomic_numbers})]


def number(element: str) -> int:
    """Atomic number of a symbol.

    Raises:
        ValueError: no element has that symbol.
    """
    if element not in _number_of_symbol or not 1 <= _number_of_symbol[element] <= 118:
        raise ValueError(f"unknown element {element!r}; expected a symbol such as 'Si'")
    return _number_of_symbol[element]


def composition(atomic_numbers: np.ndarray) -> np.ndarray:
    """How many atoms of each element a structure has, (119,) int64, indexed by Z."""
    return np.bincount(atomic_numbers, minlength=NUM_ELEMENTS)


def formula(atomic_numbers: np.ndarray) -> str:
    """Formula in order of atomic number, "H6C2O" for ethanol: equal for equal compositions."""
    counts = composition(atomic_numbers)
    return "".join(
        f"{symbol(int(z))}{counts[z] if counts[z] > 1 else ''}" for z in np.nonzero(counts)[0]
    )


def reduced_formula(atomic_numbers: np.ndarray) -> str:
    """Formula of the smallest whole numbers, equal for equal atomic fractions."""
    counts = composition(atomic_numbers)
    divisor = int(np.gcd.reduce(counts))
    return formula(np.repeat(np.arange(NUM_ELEMENTS), counts // divisor))

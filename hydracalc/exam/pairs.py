"""Two atoms: which pairs an exam looks at, and at which distances."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

from ase import Atoms
from ase.data import chemical_symbols, covalent_radii

from hydracalc.exam.structures import Case, symbols_of


@dataclass(frozen=True)
class Pair:
    """Two elements."""

    first: str
    second: str

    @property
    def name(self) -> str:
        """Both symbols."""
        return f"{self.first}-{self.second}"

    @property
    def bond(self) -> float:
        """Sum of covalent radii, Angstrom."""
        both = (self.first, self.second)
        return float(sum(covalent_radii[chemical_symbols.index(symbol)] for symbol in both))

    def at(self, distance: float) -> Atoms:
        """The two atoms, the second above the first."""
        return Atoms([self.first, self.second], [[0, 0, 0], [0, 0, distance]])


def pairs_of(cases: Sequence[Case]) -> list[Pair]:
    """Each element with itself, then those that share a structure, then the others."""
    symbols = symbols_of(cases)
    together = {pair for case in cases for pair in combinations(symbols_of([case]), 2)}
    mixed = sorted(combinations(symbols, 2), key=lambda pair: pair not in together)
    return [*(Pair(symbol, symbol) for symbol in symbols), *(Pair(*pair) for pair in mixed)]


@contextmanager
def surprises_allowed() -> Iterator[None]:
    """Structures that nobody would compute on purpose: what warns of them is not repeated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

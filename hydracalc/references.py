"""Per-element reference energies: what is subtracted from a total energy before a model sees it.

The training target is (E - sum of references) / N, the normalized energy per atom; a branch adds
the references back, so its predictions are on the published scale of its level of theory.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hydracalc import elements

# singular values below this fraction of the largest carry no information on the elements
RCOND = 1e-8


@dataclass(frozen=True, eq=False)
class References:
    """Energy of each element, eV, (119,) indexed by Z; NaN where the dataset lacks the element."""

    energies: np.ndarray

    @property
    def supported(self) -> np.ndarray:
        """Which elements have a reference, bool, (119,)."""
        return np.isfinite(self.energies)

    def baseline(self, atomic_numbers: np.ndarray) -> float:
        """Sum of the references of a structure's atoms, eV.

        Raises:
            ValueError: an element has no reference.
        """
        values = self.energies[atomic_numbers]
        if np.isnan(values).any():
            missing = elements.symbols(np.asarray(atomic_numbers)[np.isnan(values)])
            known = elements.symbols(np.nonzero(self.supported)[0])
            raise ValueError(f"no reference energy for {missing}; known: {known}")
        return float(values.sum())

    def normalize(self, energy: float, atomic_numbers: np.ndarray) -> float:
        """Normalized energy per atom, (E - sum of references) / N, eV/atom."""
        return (energy - self.baseline(atomic_numbers)) / len(atomic_numbers)

    def to_json(self) -> dict[str, float]:
        """Symbol to energy, eV, for the elements that have one."""
        return {
            elements.symbol(int(z)): float(self.energies[z]) for z in np.nonzero(self.supported)[0]
        }


def from_json(energies: Mapping[str, float]) -> References:
    """References of a mapping from symbol to energy, eV."""
    table = np.full(elements.NUM_ELEMENTS, np.nan)
    for element, energy in energies.items():
        table[elements.number(element)] = energy
    return References(table)


def fit(
    compositions: np.ndarray, energies: np.ndarray, *, counts: np.ndarray | None = None
) -> References:
    """Least-squares references of labelled structures, each weighing the same per atom.

    Elements that never occur get none. Where compositions do not determine every element (all
    structures water, say) the smallest solution is taken: baselines are right, single values
    arbitrary.

    Args:
        compositions: atoms of each element, (S, 119).
        energies: total energies, eV, (S,).
        counts: how many structures each row stands for, (S,), their energies averaged; None is one.

    Raises:
        ValueError: there is no structure, or a number is not finite.
    """
    if len(energies) == 0:
        raise ValueError("references need at least one labelled structure, got 0")
    if not np.isfinite(energies).all():
        raise ValueError(f"{np.sum(~np.isfinite(energies))} energies are not finite")
    present = compositions.any(axis=0)
    num_atoms = compositions.sum(axis=1)
    # n equal rows are one row times sqrt(n)
    scale = (1.0 if counts is None else np.sqrt(counts)) / num_atoms
    fractions = compositions[:, present] * scale[:, None]
    solution, *_ = np.linalg.lstsq(fractions, energies * scale, rcond=RCOND)
    table = np.full(elements.NUM_ELEMENTS, np.nan)
    table[present] = solution
    return References(table)

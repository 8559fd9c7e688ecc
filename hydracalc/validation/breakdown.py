"""Errors told apart by what a structure or an atom is: element, number of atoms, force."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hydracalc import elements
from hydracalc.training.error_sums import ErrorSums
from hydracalc.training.metrics import MAE_KEYS

# first number of atoms of each range, and first length of the force label, eV/Angstrom
SIZES = (1, 2, 5, 9, 17, 33, 65, 129, 257, 513)
FORCES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)

_COMPONENTS = {"energy": 1, "forces": 3, "stress": 9}


@dataclass
class Breakdown:
    """Errors of energy, forces and stress in named groups.

    Attributes:
        names: of the groups, G of them.
        errors: by property, as far as there are labels: energies per atom, eV/atom; forces,
            eV/Angstrom, by component; stress, eV/Angstrom^3, by component.
    """

    names: tuple[str, ...]
    errors: dict[str, ErrorSums] = field(default_factory=dict)

    def add(
        self, name: str, predicted: np.ndarray, label: np.ndarray, group: np.ndarray | None = None
    ) -> None:
        """Count labels of a property in.

        Args:
            name: "energy", "forces", "stress".
            predicted: (n,) or (n, k).
            label: of the same shape; NaN where there is none.
            group: of each row, (n,); None is the only one.
        """
        if name not in self.errors:
            self.errors[name] = ErrorSums(len(self.names))
        group = np.zeros(len(label), dtype=np.int64) if group is None else group
        found, labelled = (
            torch.from_numpy(each.reshape(len(each), -1)) for each in (predicted, label)
        )
        self.errors[name].add(found, labelled, torch.from_numpy(group))

    def count(self, name: str) -> np.ndarray:
        """Structures, or atoms with labelled forces, of each group, (G,)."""
        if name not in self.errors:
            return np.zeros(len(self.names))
        return self.errors[name].count.numpy() / _COMPONENTS[name]

    def mae(self, name: str) -> np.ndarray:
        """Mean absolute error of each group, (G,); NaN of nothing."""
        if name not in self.errors:
            return np.full(len(self.names), np.nan)
        return self.errors[name].mae.numpy()

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Groups that have labels: how many, and errors with their unit in the key."""
        groups = {}
        for index, name in enumerate(self.names):
            counts = {p: int(self.count(p)[index]) for p in ("energy", "forces")}
            values: dict[str, Any] = {
                "num_structures": counts["energy"],
                "num_atoms": counts["forces"],
            }
            for quantity, errors in self.errors.items():
                if errors.count[index]:
                    key = MAE_KEYS[quantity]
                    values[key] = float(errors.mae[index])
                    values[key.replace("_mae_", "_rmse_")] = float(errors.rmse[index])
            if len(values) > 2:
                groups[name] = values
        return groups


def element_breakdown() -> Breakdown:
    """Groups by atomic number: forces on atoms of it, energies of structures that have it."""
    return Breakdown(("", *(elements.symbol(z) for z in range(1, elements.NUM_ELEMENTS))))


def size_breakdown() -> Breakdown:
    """Groups by number of atoms."""
    last = [f"{a}-{b - 1}" if b - a > 1 else str(a) for a, b in zip(SIZES, SIZES[1:], strict=False)]
    return Breakdown((*last, f"{SIZES[-1]} and more"))


def force_breakdown() -> Breakdown:
    """Groups by length of the force label, eV/Angstrom."""
    names = [f"{a:g}-{b:g}" for a, b in zip(FORCES, FORCES[1:], strict=False)]
    return Breakdown((*names, f"{FORCES[-1]:g} and more"))


def range_of(values: np.ndarray, firsts: tuple[float, ...]) -> np.ndarray:
    """Index of the range that each value is in, int64; `firsts` are where ranges begin."""
    return np.maximum(np.searchsorted(firsts, values, side="right") - 1, 0).astype(np.int64)

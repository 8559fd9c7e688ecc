"""What the branches were trained on: compositions, and how much their labels say of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from hydracalc.elements import composition, reduced_formula
from hydracalc.models.weighting import Experience
from hydracalc.structure import AtomicStructure


@dataclass
class TrainedOn:
    """Training structures of all branches by composition in lowest terms.

    How much a structure says is F / (F + rest_force), F the root mean square of its force labels:
    one at rest tells nothing of how energy changes. So a branch of relaxed structures is not
    trusted with dynamics.

    Attributes:
        branch_names: of the model, B of them.
        rest_force: F at which a structure says half of what it could, eV/Angstrom.
        fractions: atomic fractions by formula, (119,).
        said: sum over structures by formula, (B,).
        structures: number of them by formula, (B,).
    """

    branch_names: Sequence[str]
    rest_force: float
    fractions: dict[str, np.ndarray] = field(default_factory=dict)
    said: dict[str, np.ndarray] = field(default_factory=dict)
    structures: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, branch: str, structures: Iterable[AtomicStructure]) -> None:
        """Count training structures of a branch in; those without forces say nothing."""
        column = list(self.branch_names).index(branch)
        for structure in structures:
            numbers = structure.atomic_numbers
            formula = reduced_formula(numbers)
            if formula not in self.fractions:
                self.fractions[formula] = composition(numbers) / structure.num_atoms
                self.said[formula] = np.zeros(len(self.branch_names))
                self.structures[formula] = np.zeros(len(self.branch_names))
            if structure.forces is not None:
                force = float(np.sqrt(np.mean(np.square(structure.forces))))
                self.said[formula][column] += force / (force + self.rest_force)
            self.structures[formula][column] += 1

    def table(self, trust: Mapping[str, float]) -> Experience:
        """The compositions for a weighting, the mean over its structures said of each.

        Args:
            trust: factor of what a branch's labels say, by name; 1 where it is not named.
        """
        names = sorted(self.fractions)
        if not names:
            return Experience(0, 0, len(self.branch_names))
        fractions, said, structures = (
            torch.from_numpy(np.array([values[name] for name in names]))
            for values in (self.fractions, self.said, self.structures)
        )
        trusted = torch.tensor([trust.get(name, 1.0) for name in self.branch_names])
        return Experience.of(fractions, trusted * said / structures.clamp(min=1), structures)

    def summary(self) -> dict[str, dict[str, float]]:
        """By branch: compositions, structures, and how much their labels say all together."""
        told = {}
        for column, name in enumerate(self.branch_names):
            seen = [f for f in self.fractions if self.structures[f][column]]
            told[name] = {
                "compositions": len(seen),
                "structures": sum(int(self.structures[f][column]) for f in seen),
                "coverage": round(sum(float(self.said[f][column]) for f in seen), 2),
            }
        return told

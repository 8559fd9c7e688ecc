"""What members say together: their mean, and how far apart they are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.stress import full_3x3_to_voigt_6_stress

from hydracalc.models.inference import Composition
from hydracalc.models.prediction import Prediction
from hydracalc.predictor import StructurePrediction

# of all standard deviations here: members are a sample of the trainings there could have been
DDOF = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class MembersComposition(Composition):
    """Composition of a batch for every member; the fields themselves are those of the first.

    Attributes:
        each: one of each member, M of them.
    """

    each: tuple[Composition, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class MembersPrediction(Prediction):
    """The mean of the members' predictions of a batch.

    Attributes:
        each: what each of M members says.
    """

    each: tuple[Prediction, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class EnsemblePrediction(StructurePrediction):
    """The mean of what members say of one structure, and standard deviations with `DDOF`.

    Attributes:
        num_members: M.
        energy_std: eV.
        forces_std: of each component, eV/Angstrom, (N, 3); None where there are no forces.
        stress_std: eV/Angstrom^3, (3, 3); None where there is no stress.
    """

    num_members: int
    energy_std: float
    forces_std: np.ndarray | None
    stress_std: np.ndarray | None

    @property
    def force_spread(self) -> np.ndarray | None:
        """Root of the summed variances of each atom's force, unchanged by rotation, (N,)."""
        return None if self.forces_std is None else np.linalg.norm(self.forces_std, axis=1)

    def member_spread(self) -> dict[str, Any]:
        """Standard deviations between the members.

        Returns:
            "energy", eV; "energy_per_atom", eV/atom; "forces", eV/Angstrom, (N, 3); "stress" as six
            numbers, eV/Angstrom^3, where there is one; and "num_members".
        """
        spread: dict[str, Any] = {
            "energy": self.energy_std,
            "energy_per_atom": self.energy_std / len(self.energies),
            "num_members": self.num_members,
        }
        if self.forces_std is not None:
            spread["forces"] = self.forces_std
        if self.stress_std is not None:
            spread["stress"] = full_3x3_to_voigt_6_stress(self.stress_std)
        return spread

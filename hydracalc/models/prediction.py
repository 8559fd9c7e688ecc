"""What a model says of a batch."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """Energies and their derivatives for S structures of N atoms.

    Attributes:
        energy: total energy, or interaction energy where asked for, eV, float64, (S,).
        energies: the same of each atom, eV, float64, (N,).
        interaction_energy: energy beyond the references, eV, float64, (S,).
        forces: eV/Angstrom, (N, 3); None where not asked for.
        direct_forces: of the direct force heads, eV/Angstrom, (N, 3); only in training, where the
            model has such heads, beside the derivatives in `forces`.
        stress: tension positive, eV/Angstrom^3, (S, 3, 3), NaN without a volume; None if not asked.
        branch_energy: `energy` of every branch alone, eV, float64, (S, B), NaN where it does not
            know an element; None unless weights were given.
        branch_interaction_energy: the same beyond each branch's references.
    """

    energy: Tensor
    energies: Tensor
    interaction_energy: Tensor
    forces: Tensor | None = None
    direct_forces: Tensor | None = None
    stress: Tensor | None = None
    branch_energy: Tensor | None = None
    branch_interaction_energy: Tensor | None = None

"""Reasons to doubt a prediction that are known beforehand: what no label ever covered."""

import warnings

import numpy as np

from hydracalc import elements
from hydracalc.mixture import Mixture
from hydracalc.models.hydra import HydraModel
from hydracalc.structure import AtomicStructure


def doubts(model: HydraModel, mixture: Mixture, structure: AtomicStructure) -> list[str]:
    """What of a structure's state and composition its branches were not trained on, in words.

    Args:
        model: whose branches.
        mixture: which of them answer.
        structure: of elements that they know.
    """
    answering = mixture.supporting(structure.atomic_numbers)
    if mixture.weights is not None:
        answering = mixture.weights > 0
    specs = [model.branch_specs[b] for b in np.nonzero(answering)[0]]
    names = ", ".join(spec.name for spec in specs)
    found = []
    charges = sorted({charge for spec in specs for charge in spec.charges})
    if structure.total_charge not in charges:
        found.append(
            f"total charge {structure.total_charge} is new to {names} (trained on {charges})"
        )
    spins = sorted({spin for spec in specs for spin in spec.spin_multiplicities})
    if structure.spin_multiplicity not in spins:
        found.append(
            f"spin multiplicity {structure.spin_multiplicity} is new to {names} "
            f"(trained on {spins})"
        )
    if mixture.weights is None and model.weighting is not None and len(specs) > 1:
        seen = model.weighting.seen.cpu().numpy()
        unseen = structure.atomic_numbers[~seen[structure.atomic_numbers]]
        if len(unseen):
            found.append(
                f"the weights of 'auto' were trained without {', '.join(elements.symbols(unseen))}"
            )
    return found


def warn_of_doubts(model: HydraModel, mixture: Mixture, structure: AtomicStructure) -> None:
    """Warn once of each reason to doubt what a model says of a structure."""
    for doubt in doubts(model, mixture, structure):
        warnings.warn(f"{doubt}; predictions are not to be trusted", stacklevel=3)

"""Errors of one branch on one dataset, structure by structure, with energy zeros brought together.

Branches differ in level of theory, so the zero of their energies differs by an amount per element.
Before energies are compared, the least-squares difference of references between label and
prediction is fitted on structures of the dataset that are not tested, and added.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from hydracalc import elements
from hydracalc.models.hydra import HydraModel
from hydracalc.predictor import InferenceConfig
from hydracalc.references import References
from hydracalc.shards.baseline import CompositionEnergies
from hydracalc.shards.reader import Shards
from hydracalc.structure import AtomicStructure
from hydracalc.validation.evaluation import answer
from hydracalc.validation.labelled_data import members, read

NO_SHIFT = "energy not compared, of an element that no structure of the fit has"


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferErrors:
    """Errors of a branch on S structures of a dataset.

    Attributes:
        indices: of the structures in the shards, ascending, (S,).
        groups: structures of one group are not independent, S names.
        force: sum of |error| over the components, eV/Angstrom, (S,).
        components: how many there are, (S,); 0 where forces are not labelled.
        energy: |error| per atom after the shift of references, eV/atom, (S,); NaN where an element
            has no shift.
        energy_as_predicted: the same without a shift.
        num_atoms: of all structures.
        num_fitted: structures the shift was fitted on.
        left_out: structures that the branch cannot answer for, by reason.
    """

    indices: np.ndarray
    groups: tuple[str, ...]
    force: np.ndarray
    components: np.ndarray
    energy: np.ndarray
    energy_as_predicted: np.ndarray
    num_atoms: int
    num_fitted: int
    left_out: Counter[str]

    def mae(self) -> dict[str, float]:
        """Mean absolute errors with their unit in the key; those without labels are absent."""
        values = {}
        if self.components.sum():
            values["force_mae_eV_per_A"] = float(self.force.sum() / self.components.sum())
        compared = np.isfinite(self.energy)
        if compared.any():
            values["energy_mae_eV_per_atom"] = float(self.energy[compared].mean())
            values["energy_mae_as_predicted_eV_per_atom"] = float(self.energy_as_predicted.mean())
        return values


def transfer_errors(
    model: HydraModel, branch: str, shards: Shards, *, split: str, num_fit: int
) -> TransferErrors:
    """Errors of a branch on a split of a dataset.

    Args:
        model: in evaluation mode.
        branch: who answers.
        shards: of the dataset.
        split: what is tested.
        num_fit: structures of the training split, evenly chosen, that the shift is fitted on.

    Raises:
        ValueError: the model has no such branch, or no such split.
    """
    training = members(shards, "train")
    chosen = training[np.linspace(0, len(training) - 1, min(num_fit, len(training))).astype(int)]
    shift, num_fitted = _shift(model, branch, read(shards, chosen))
    left_out: Counter[str] = Counter()
    rows = []
    for index, structure, energy, force in _errors(
        model, branch, read(shards, members(shards, split)), left_out
    ):
        assert structure.energy is not None
        count = structure.num_atoms
        moved = (energy + shift.energies[structure.atomic_numbers].sum() - structure.energy) / count
        plain = (energy - structure.energy) / count
        rows.append((index, count, abs(moved), abs(plain), *force, structure.group))
    columns = list(zip(*sorted(rows), strict=True)) or [()] * 7
    energies = np.array(columns[2], dtype=np.float64)
    if np.isnan(energies).any():
        left_out[NO_SHIFT] += int(np.isnan(energies).sum())
    return TransferErrors(
        indices=np.array(columns[0], dtype=np.int64),
        groups=tuple(str(group) for group in columns[6]),
        force=np.array(columns[4], dtype=np.float64),
        components=np.array(columns[5], dtype=np.int64),
        energy=energies,
        energy_as_predicted=np.array(columns[3], dtype=np.float64),
        num_atoms=int(np.sum(columns[1], dtype=np.int64)),
        num_fitted=num_fitted,
        left_out=left_out,
    )


def _shift(
    model: HydraModel, branch: str, structures: Iterable[tuple[int, AtomicStructure]]
) -> tuple[References, int]:
    """Difference of references that brings predictions nearest to the labels, and of how many."""
    fit, count = CompositionEnergies(), 0
    for _, structure, energy, _ in _errors(model, branch, structures, Counter()):
        assert structure.energy is not None
        fit.add(replace(structure, energy=structure.energy - energy))
        count += 1
    none = References(np.full(elements.NUM_ELEMENTS, np.nan))
    return (fit.fit() if count else none), count


def _errors(
    model: HydraModel,
    branch: str,
    structures: Iterable[tuple[int, AtomicStructure]],
    left_out: Counter[str],
) -> Iterable[tuple[int, AtomicStructure, float, tuple[float, int]]]:
    """Index, structure, predicted energy, and sum and number of force errors of each structure."""
    max_atoms = InferenceConfig.max_atoms
    for batch in answer(model, structures, branch=branch, max_atoms=max_atoms, left_out=left_out):
        for index, structure, prediction in zip(
            batch.indices, batch.structures, batch.predictions, strict=True
        ):
            force = (0.0, 0)
            if structure.forces is not None and prediction.forces is not None:
                missed = np.abs(prediction.forces - structure.forces)
                force = (float(missed.sum()), missed.size)
            yield index, structure, prediction.energy, force

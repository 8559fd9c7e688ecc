"""What a calibration is made of: errors on labelled structures, and the spread of each."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hydracalc.ensemble.prediction import EnsemblePrediction
from hydracalc.predictor import Predictor, StructurePrediction
from hydracalc.structure import AtomicStructure


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Errors and spreads of S structures and their N atoms.

    Where there is no ensemble, the spread of forces is NaN, and that of energies the spread between
    branches, or NaN without it.

    Attributes:
        energy_error: predicted less labelled energy, eV/atom, (S,).
        energy_spread: eV/atom, (S,).
        structure: of each atom, (N,).
        atomic_numbers: (N,).
        force_error: predicted less labelled, eV/Angstrom, (N, 3); NaN where there is no label.
        force_spread: root of summed variances of an atom's force, eV/Angstrom, (N,).
    """

    energy_error: np.ndarray
    energy_spread: np.ndarray
    structure: np.ndarray
    atomic_numbers: np.ndarray
    force_error: np.ndarray
    force_spread: np.ndarray

    @property
    def num_structures(self) -> int:
        """S."""
        return len(self.energy_error)

    @property
    def is_ensemble(self) -> bool:
        """Whether forces have a spread."""
        return bool(np.isfinite(self.force_spread).any())

    def of(self, structures: np.ndarray) -> "Scores":
        """The scores of some structures with all of their atoms.

        Args:
            structures: their indices.
        """
        new = np.full(self.num_structures, -1)
        new[structures] = np.arange(len(structures))
        atoms = np.flatnonzero(new[self.structure] >= 0)
        return Scores(
            energy_error=self.energy_error[structures],
            energy_spread=self.energy_spread[structures],
            structure=new[self.structure[atoms]],
            atomic_numbers=self.atomic_numbers[atoms],
            force_error=self.force_error[atoms],
            force_spread=self.force_spread[atoms],
        )

    def labelled_forces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Elements, errors and spreads of the atoms that have a label."""
        known = np.isfinite(self.force_error).all(axis=1)
        return self.atomic_numbers[known], self.force_error[known], self.force_spread[known]


def collect(
    predictor: Predictor, structures: Iterable[AtomicStructure], *, left_out: Counter[str]
) -> Scores:
    """Errors and spreads of a model or an ensemble on labelled structures.

    Args:
        predictor: who answers; its config says for which branch.
        structures: read once; those without energy, with elements that the branch does not know, or
            without a finite prediction are left out.
        left_out: takes the reason of each.

    Raises:
        ValueError: no structure is left.
    """
    rows = [
        _row(structure, prediction)
        for structure, prediction in _answered(predictor, structures, left_out)
    ]
    if not rows:
        raise ValueError(f"no labelled structure to compare with; left out: {dict(left_out)}")
    energies, atoms = zip(*rows, strict=True)
    sizes = [len(each[0]) for each in atoms]
    numbers, errors, spreads = (np.concatenate(each) for each in zip(*atoms, strict=True))
    energy_error, energy_spread = np.array(energies).T
    return Scores(
        energy_error=energy_error,
        energy_spread=energy_spread,
        structure=np.repeat(np.arange(len(rows)), sizes),
        atomic_numbers=numbers,
        force_error=errors,
        force_spread=spreads,
    )


def _answered(
    predictor: Predictor, structures: Iterable[AtomicStructure], left_out: Counter[str]
) -> Iterator[tuple[AtomicStructure, StructurePrediction]]:
    """Structures with predictions, a batch at a time."""
    waiting: list[AtomicStructure] = []
    for structure in structures:
        if structure.num_atoms == 0 or structure.energy is None:
            left_out["no energy label" if structure.num_atoms else "no atoms"] += 1
            continue
        try:
            predictor.mixture.check(structure.atomic_numbers)
        except ValueError:
            left_out["has an element that the branch does not know"] += 1
            continue
        waiting.append(structure)
        if sum(each.num_atoms for each in waiting) >= predictor.config.max_atoms:
            yield from _predicted(predictor, waiting, left_out)
            waiting = []
    yield from _predicted(predictor, waiting, left_out)


def _predicted(
    predictor: Predictor, structures: list[AtomicStructure], left_out: Counter[str]
) -> Iterator[tuple[AtomicStructure, StructurePrediction]]:
    """Predictions of a batch; where it fails, of each that can be predicted alone."""
    try:
        yield from zip(structures, predictor.predict(structures), strict=True)
    except ValueError:
        if len(structures) == 1:
            left_out["no finite prediction, or atoms at one place"] += 1
            return
        for each in structures:
            yield from _predicted(predictor, [each], left_out)


def _row(
    structure: AtomicStructure, prediction: StructurePrediction
) -> tuple[tuple[float, float], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of the energy error and spread; of the atoms their elements, errors and spreads."""
    count = structure.num_atoms
    assert structure.energy is not None
    force_error, force_spread = np.full((count, 3), np.nan), np.full(count, np.nan)
    if structure.forces is not None and prediction.forces is not None:
        force_error = prediction.forces - structure.forces
    if isinstance(prediction, EnsemblePrediction):
        energy_spread = prediction.energy_std / count
        if prediction.force_spread is not None:
            force_spread = prediction.force_spread
    else:
        several = len(prediction.branch_interaction_energies) > 1
        energy_spread = prediction.spread()["energy_per_atom"] if several else np.nan
    energy = (prediction.energy - structure.energy) / count
    return (energy, energy_spread), (structure.atomic_numbers, force_error, force_spread)

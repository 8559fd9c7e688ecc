"""All that is told of the errors of one branch, or one mixture, gathered in bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hydracalc import elements
from hydracalc.predictor import StructurePrediction
from hydracalc.structure import AtomicStructure
from hydracalc.survey.distributions import Distribution
from hydracalc.training.error_sums import ErrorSums
from hydracalc.training.metrics import MAE_KEYS
from hydracalc.validation.breakdown import (
    FORCES,
    SIZES,
    Breakdown,
    element_breakdown,
    force_breakdown,
    range_of,
    size_breakdown,
)
from hydracalc.validation.parity_grid import ParityGrid
from hydracalc.validation.worst import BadStructure, Worst

PROPERTIES = ("energy", "forces", "stress")
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

_SAMPLE = 2**16  # errors kept for quantiles
# the direction of a force label below this says little, eV/Angstrom
FAINT_FORCE = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """Labels and predictions of S structures; rows of absent labels are NaN.

    Attributes:
        sizes: atoms of each structure, (S,).
        numbers: atomic number of each atom, (N,).
        owner: structure of each atom, (N,).
        energy: beyond references, label and prediction, eV/atom, (2, S).
        forces: eV/Angstrom, (2, N, 3).
        stress: eV/Angstrom^3, (2, S, 9).
    """

    sizes: np.ndarray
    numbers: np.ndarray
    owner: np.ndarray
    energy: np.ndarray
    forces: np.ndarray
    stress: np.ndarray


def _together(
    structures: Sequence[AtomicStructure], predictions: Sequence[StructurePrediction]
) -> _Batch:
    sizes = np.array([structure.num_atoms for structure in structures])
    pairs = list(zip(structures, predictions, strict=True))
    return _Batch(
        sizes=sizes,
        numbers=np.concatenate([structure.atomic_numbers for structure in structures]),
        owner=np.repeat(np.arange(len(structures)), sizes),
        energy=np.array([energies(*pair) for pair in pairs]).T,
        forces=np.concatenate([_both(s.forces, p.forces, (s.num_atoms, 3)) for s, p in pairs], 1),
        stress=np.stack([_both(s.stress, p.stress, (9,)) for s, p in pairs], 1),
    )


def energies(structure: AtomicStructure, prediction: StructurePrediction) -> tuple[float, float]:
    """Label and prediction beyond the references of whoever answers, eV/atom.

    The label less what is added to the prediction: references cancel before rounding does.
    """
    assert structure.energy is not None
    baseline = prediction.energy - prediction.interaction_energy
    count = structure.num_atoms
    return (structure.energy - baseline) / count, prediction.interaction_energy / count


def _both(
    label: np.ndarray | None, predicted: np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray:
    """Label and prediction, (2, ...); NaN unless there are both."""
    if label is None or predicted is None:
        return np.full((2, *shape), np.nan)
    return np.stack([label.reshape(shape), predicted.reshape(shape)])


@dataclass
class BranchErrors:
    """Errors of one branch, or of one mixture.

    Attributes:
        total: over everything.
        by_element, by_size, by_force: the same by element, number of atoms, length of the force
            label.
        spread: |error| of each property: of energies per atom, eV/atom, and of components.
        parity: labels and predictions of each property, energies beyond references per atom.
        cosine: of the angle between forces on atoms whose label is not faint.
        cosine_by_force: the same by length of the force label.
        num_faint: atoms whose force label is shorter than `FAINT_FORCE`.
        worst: structures by error of the energy per atom, and of the force on one atom.
        num_structures, num_atoms: evaluated.
    """

    total: Breakdown = field(default_factory=lambda: Breakdown(("all",)))
    by_element: Breakdown = field(default_factory=element_breakdown)
    by_size: Breakdown = field(default_factory=size_breakdown)
    by_force: Breakdown = field(default_factory=force_breakdown)
    spread: dict[str, Distribution] = field(default_factory=dict)
    parity: dict[str, ParityGrid] = field(default_factory=dict)
    cosine: Distribution = field(default_factory=lambda: Distribution(_SAMPLE))
    cosine_by_force: ErrorSums = field(default_factory=lambda: ErrorSums(len(FORCES)))
    num_faint: int = 0
    worst: dict[str, Worst] = field(default_factory=lambda: {"energy": Worst(), "forces": Worst()})
    num_structures: int = 0
    num_atoms: int = 0

    def add(
        self,
        indices: Sequence[int],
        structures: Sequence[AtomicStructure],
        predictions: Sequence[StructurePrediction],
    ) -> None:
        """Count structures in.

        Args:
            indices: places in the data, for their names.
            structures: with energies.
            predictions: of them.
        """
        batch = _together(structures, predictions)
        self.num_structures += len(structures)
        self.num_atoms += int(batch.sizes.sum())
        for name, pair in zip(PROPERTIES, (batch.energy, batch.forces, batch.stress), strict=True):
            self._add_property(name, pair, batch)
        self._add_directions(batch)
        self._add_worst(indices, structures, batch)

    def _add_property(self, name: str, pair: np.ndarray, batch: _Batch) -> None:
        label, predicted = pair
        known = np.isfinite(label).reshape(len(label), -1).any(axis=1)
        if not known.any():
            return
        self.total.add(name, predicted, label)
        if name not in self.spread:
            self.spread[name], self.parity[name] = Distribution(_SAMPLE), ParityGrid()
        self.spread[name].add(np.abs(predicted - label))
        self.parity[name].add(label, predicted)
        of_row = batch.sizes[batch.owner] if name == "forces" else batch.sizes
        self.by_size.add(name, predicted, label, range_of(of_row, SIZES))
        if name == "energy":
            pairs = np.unique(batch.owner * elements.NUM_ELEMENTS + batch.numbers)
            owner, number = np.divmod(pairs, elements.NUM_ELEMENTS)
            self.by_element.add(name, predicted[owner], label[owner], number)
        elif name == "forces":
            self.by_element.add(name, predicted, label, batch.numbers)
            lengths = np.linalg.norm(label[known], axis=1)
            self.by_force.add(name, predicted[known], label[known], range_of(lengths, FORCES))

    def _add_directions(self, batch: _Batch) -> None:
        label, predicted = batch.forces
        lengths = np.linalg.norm(label, axis=1)
        self.num_faint += int((lengths < FAINT_FORCE).sum())
        clear = lengths >= FAINT_FORCE  # False where there is no label
        if not clear.any():
            return
        both = lengths[clear] * np.linalg.norm(predicted[clear], axis=1)
        products = np.einsum("nx,nx->n", label[clear], predicted[clear])
        cosines = products / np.where(both > 0, both, np.inf)
        self.cosine.add(cosines)
        means = Breakdown(("",) * len(FORCES), {"cosine": self.cosine_by_force})
        means.add("cosine", cosines, np.zeros(len(cosines)), range_of(lengths[clear], FORCES))

    def _add_worst(
        self, indices: Sequence[int], structures: Sequence[AtomicStructure], batch: _Batch
    ) -> None:
        starts = np.cumsum(batch.sizes) - batch.sizes
        apart = np.nan_to_num(np.linalg.norm(batch.forces[1] - batch.forces[0], axis=1), nan=-1.0)
        lengths = np.linalg.norm(batch.forces, axis=2)  # (2, N)
        for s, (index, structure) in enumerate(zip(indices, structures, strict=True)):
            atom = int(np.argmax(apart[starts[s] : starts[s] + batch.sizes[s]]))
            row = int(starts[s]) + atom
            self._tell("energy", index, structure, batch.energy[:, s], None)
            if apart[row] >= 0:
                told = np.array([lengths[0, row], lengths[1, row], apart[row]])
                self._tell("forces", index, structure, told, atom)

    def _tell(
        self, name: str, index: int, structure: AtomicStructure, told: np.ndarray, atom: int | None
    ) -> None:
        """Offer a structure to the worst: label, prediction, and the error if not their own."""
        label, predicted = float(told[0]), float(told[1])
        error = float(told[2]) if len(told) > 2 else abs(predicted - label)
        if self.worst[name].admits(error):
            self.worst[name].add(
                BadStructure(
                    index=index,
                    source=structure.source,
                    formula=structure.formula,
                    num_atoms=structure.num_atoms,
                    error=error,
                    label=label,
                    predicted=predicted,
                    atom=atom,
                )
            )

    def to_json(self) -> dict[str, Any]:
        """Numbers with their unit in the key; properties without labels are absent."""
        values: dict[str, Any] = {
            "num_structures": self.num_structures,
            "num_atoms": self.num_atoms,
            **{k: v for k, v in self.total.to_json()["all"].items() if not k.startswith("num_")},
        }
        for name, distribution in self.spread.items():
            key = MAE_KEYS[name]
            values[key.replace("_mae_", "_bias_")] = float(self.total.errors[name].bias[0])
            found = distribution.quantiles(tuple(SHARES.values()))
            quantiles = dict(zip(SHARES, found, strict=True))
            quantiles["max"] = (distribution.to_json() or {})["max"]
            values[key.replace("_mae_", "_error_quantiles_")] = quantiles
        values["force_cosine"] = self.cosine_json()
        values["by_element"] = self.by_element.to_json()
        values["by_size"] = self.by_size.to_json()
        values["by_force"] = self.by_force.to_json()
        for place, group in enumerate(self.by_force.names):
            if group in values["by_force"] and self.cosine_by_force.count[place]:
                mean = float(self.cosine_by_force.bias[place])
                values["by_force"][group]["force_cosine_mean"] = mean
        values["worst"] = {name: worst.to_json() for name, worst in self.worst.items()}
        return values

    def cosine_json(self) -> dict[str, float] | None:
        """Mean and quantiles of the cosine, and how many atoms it is of; None of none."""
        told = self.cosine.to_json()
        if told is None:
            return None
        low, middle = self.cosine.quantiles((0.1, 0.5))
        return {
            "mean": told["mean"],
            "p10": low,
            "median": middle,
            "num_atoms": told["count"],
            "num_atoms_below_0.01_eV_per_A": self.num_faint,
        }

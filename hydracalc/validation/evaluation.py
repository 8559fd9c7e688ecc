"""Errors of a model on labelled structures: by branch and by element, nothing left out unseen."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hydracalc import elements, units
from hydracalc.mixture import BranchChoice
from hydracalc.models.hydra import HydraModel
from hydracalc.predictor import InferenceConfig, Predictor, StructurePrediction
from hydracalc.structure import AtomicStructure

# stands for "each structure by the branch it is labelled by"
OWN = "own"

# property to the name and unit in a key, the same as in the metrics of training
_KEYS = {
    "energy": ("energy", "eV_per_atom"),
    "forces": ("force", "eV_per_A"),
    "stress": ("stress", "eV_per_A3"),
}
_UNITS = {"energy": "meV/atom", "forces": "meV/Angstrom", "stress": "meV/Angstrom^3"}


@dataclass
class ErrorSum:
    """Sums over errors, divided once at the end."""

    absolute: float = 0.0
    squared: float = 0.0
    count: int = 0

    def add(self, errors: np.ndarray) -> None:
        """Count some errors in."""
        self.absolute += float(np.abs(errors).sum())
        self.squared += float(np.square(errors).sum())
        self.count += errors.size

    @property
    def mae(self) -> float:
        """Mean absolute error; NaN of nothing."""
        return self.absolute / self.count if self.count else float("nan")

    @property
    def rmse(self) -> float:
        """Root of the mean squared error; NaN of nothing."""
        return (self.squared / self.count) ** 0.5 if self.count else float("nan")

    def to_json(self, name: str) -> dict[str, float]:
        """Both errors of a property, the unit in the key; empty of nothing."""
        if not self.count:
            return {}
        quantity, unit = _KEYS[name]
        return {f"{quantity}_mae_{unit}": self.mae, f"{quantity}_rmse_{unit}": self.rmse}


@dataclass
class BranchErrors:
    """Errors of one branch, or of one mixture.

    Attributes:
        energy: eV/atom, one of each structure.
        forces: eV/Angstrom, one of each component.
        stress: eV/Angstrom^3, one of each of nine components.
        by_element: forces on the atoms of each element, by atomic number.
        num_structures, num_atoms: evaluated.
        pairs: label and prediction of each number by property, where they were to be kept.
    """

    energy: ErrorSum = field(default_factory=ErrorSum)
    forces: ErrorSum = field(default_factory=ErrorSum)
    stress: ErrorSum = field(default_factory=ErrorSum)
    by_element: dict[int, ErrorSum] = field(default_factory=lambda: defaultdict(ErrorSum))
    num_structures: int = 0
    num_atoms: int = 0
    pairs: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self, structure: AtomicStructure, prediction: StructurePrediction, *, keep_pairs: bool
    ) -> None:
        """Count one structure in."""
        assert structure.energy is not None
        self.num_structures += 1
        self.num_atoms += structure.num_atoms
        # the label less what is added to the prediction: references cancel before rounding does
        baseline = prediction.energy - prediction.interaction_energy
        label = (structure.energy - baseline) / structure.num_atoms
        found = prediction.interaction_energy / structure.num_atoms
        both = {"energy": (np.array([label]), np.array([found]))}
        if structure.forces is not None and prediction.forces is not None:
            both["forces"] = (structure.forces, prediction.forces)
            errors = prediction.forces - structure.forces
            for z in np.unique(structure.atomic_numbers):
                self.by_element[int(z)].add(errors[structure.atomic_numbers == z])
        if structure.stress is not None and prediction.stress is not None:
            both["stress"] = (structure.stress, prediction.stress)
        for name, (labelled, predicted) in both.items():
            getattr(self, name).add(predicted - labelled)
            if keep_pairs:
                self.pairs[name].append(np.stack([labelled.ravel(), predicted.ravel()]))

    def to_json(self) -> dict[str, Any]:
        """Numbers with their unit in the key; properties without labels are absent."""
        values: dict[str, Any] = {
            "num_structures": self.num_structures,
            "num_atoms": self.num_atoms,
        }
        for name in ("energy", "forces", "stress"):
            errors: ErrorSum = getattr(self, name)
            values |= errors.to_json(name)
        values["by_element"] = {
            elements.symbol(z): {
                "num_atoms": errors.count // 3,
                **errors.to_json("forces"),
            }
            for z, errors in sorted(self.by_element.items())
        }
        return values


@dataclass
class Evaluation:
    """Errors by branch, and how many structures were left out for which reason."""

    branches: dict[str, BranchErrors] = field(default_factory=lambda: defaultdict(BranchErrors))
    left_out: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The report as plain numbers and text."""
        return {
            "branches": {name: errors.to_json() for name, errors in self.branches.items()},
            "left_out": dict(self.left_out),
        }


def evaluate(
    model: HydraModel,
    structures: Iterable[AtomicStructure],
    *,
    branch: BranchChoice = None,
    max_atoms: int = InferenceConfig.max_atoms,
    keep_pairs: bool = False,
) -> Evaluation:
    """Errors of a model on labelled structures.

    A structure without an energy label, or with an element that the branch does not know, is left
    out and counted. Errors of energies are per atom.

    Args:
        model: in evaluation mode.
        structures: read once, a batch at a time.
        branch: who answers: "own" is each structure's own branch, else as for a calculator.
        max_atoms: atoms evaluated at a time.
        keep_pairs: keep labels and predictions, for a plot.

    Raises:
        ValueError: the model has no such branch.
    """
    report = Evaluation()
    predictors: dict[str, Predictor] = {}
    waiting: dict[str, list[AtomicStructure]] = defaultdict(list)
    if branch != OWN:
        predictors[""] = Predictor(model, InferenceConfig(branch=branch, max_atoms=max_atoms))
    for structure in structures:
        name = structure.branch if branch == OWN else ""
        if name not in predictors:
            predictors[name] = Predictor(model, InferenceConfig(branch=name, max_atoms=max_atoms))
        reason = _why_not(structure, predictors[name])
        if reason is not None:
            report.left_out[reason] += 1
            continue
        waiting[name].append(structure)
        if sum(each.num_atoms for each in waiting[name]) >= max_atoms:
            _count(report, predictors[name], waiting.pop(name), keep_pairs=keep_pairs)
    for name, rest in waiting.items():
        _count(report, predictors[name], rest, keep_pairs=keep_pairs)
    return report


def _why_not(structure: AtomicStructure, predictor: Predictor) -> str | None:
    """Why a structure cannot be evaluated; None where it can."""
    if structure.energy is None:
        return "no energy label"
    missing = set(structure.atomic_numbers.tolist()) - set(predictor.mixture.allowed_atomic_numbers)
    if missing:
        return f"unknown to the branch: {', '.join(elements.symbols(missing))}"
    if not predictor.mixture.supporting(structure.atomic_numbers).any():
        return "no branch knows all of its elements"
    return None


def _count(
    report: Evaluation,
    predictor: Predictor,
    structures: list[AtomicStructure],
    *,
    keep_pairs: bool,
) -> None:
    errors = report.branches[_label(predictor)]
    for structure, prediction in zip(structures, predictor.predict(structures), strict=True):
        errors.add(structure, prediction, keep_pairs=keep_pairs)


def _label(predictor: Predictor) -> str:
    chosen = predictor.mixture.branch
    if isinstance(chosen, str):
        return chosen
    return ",".join(f"{name}={weight:g}" for name, weight in chosen.items())


def table(report: Evaluation) -> Iterator[str]:
    """The report as lines of text, energies in meV."""
    for name, errors in report.branches.items():
        yield f"branch {name}: {errors.num_structures} structures, {errors.num_atoms} atoms"
        for quantity, unit in _UNITS.items():
            found: ErrorSum = getattr(errors, quantity)
            if found.count:
                mae, rmse = found.mae / units.ENERGY["meV"], found.rmse / units.ENERGY["meV"]
                yield f"  {quantity:8s} MAE {mae:10.3f}   RMSE {rmse:10.3f} {unit}"
        for z, found in sorted(errors.by_element.items()):
            yield (
                f"  forces on {elements.symbol(z):2s} ({found.count // 3} atoms)  "
                f"MAE {found.mae / units.ENERGY['meV']:.3f} meV/Angstrom"
            )
    for reason, count in report.left_out.most_common():
        yield f"left out {count}: {reason}"

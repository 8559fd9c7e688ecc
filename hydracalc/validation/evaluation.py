"""Errors of a model on labelled structures: by branch, and nothing left out unseen."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydracalc import elements
from hydracalc.mixture import BranchChoice
from hydracalc.models.hydra import HydraModel
from hydracalc.predictor import InferenceConfig, Predictor, StructurePrediction
from hydracalc.structure import AtomicStructure
from hydracalc.validation.branch_errors import BranchErrors

# stands for "each structure by the branch it is labelled by"
OWN = "own"


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Some structures and what the model says of them.

    Attributes:
        branch: who answered, in words.
        indices: places of the structures in the data.
        structures: labelled.
        predictions: one of each.
    """

    branch: str
    indices: Sequence[int]
    structures: Sequence[AtomicStructure]
    predictions: Sequence[StructurePrediction]


def evaluate(
    model: HydraModel,
    structures: Iterable[AtomicStructure],
    *,
    branch: BranchChoice = None,
    max_atoms: int = InferenceConfig.max_atoms,
) -> Evaluation:
    """Errors of a model on labelled structures, as `evaluate_named` tells them."""
    return evaluate_named(model, enumerate(structures), branch=branch, max_atoms=max_atoms)


def evaluate_named(
    model: HydraModel,
    structures: Iterable[tuple[int, AtomicStructure]],
    *,
    branch: BranchChoice = None,
    max_atoms: int = InferenceConfig.max_atoms,
) -> Evaluation:
    """Errors of a model on labelled structures.

    A structure without an energy label, with an element that the branch does not know, or of which
    there is no finite prediction, is left out and counted. Errors of energies are per atom, on the
    branch's own scale: no offset is fitted.

    Args:
        model: in evaluation mode.
        structures: with their places in the data; read once, a batch at a time.
        branch: who answers: "own" is each structure's own branch, else as for a calculator.
        max_atoms: atoms evaluated at a time.

    Raises:
        ValueError: the model has no such branch.
    """
    report = Evaluation()
    for answers in answer(
        model, structures, branch=branch, max_atoms=max_atoms, left_out=report.left_out
    ):
        errors = report.branches[answers.branch]
        errors.add(answers.indices, answers.structures, answers.predictions)
    return report


def answer(
    model: HydraModel,
    structures: Iterable[tuple[int, AtomicStructure]],
    *,
    branch: BranchChoice,
    max_atoms: int,
    left_out: Counter[str],
) -> Iterator[Answers]:
    """Predictions of labelled structures, a batch at a time.

    Args:
        model: in evaluation mode.
        structures: with their places in the data.
        branch: "own" is each structure's own branch, else as for a calculator.
        max_atoms: atoms evaluated at a time.
        left_out: takes the reason of each structure that is passed over.

    Raises:
        ValueError: the model has no such branch.
    """
    predictors: dict[str, Predictor] = {}
    waiting: dict[str, list[tuple[int, AtomicStructure]]] = defaultdict(list)
    if branch != OWN:
        predictors[""] = Predictor(model, InferenceConfig(branch=branch, max_atoms=max_atoms))
    for index, structure in structures:
        name = structure.branch if branch == OWN else ""
        if name not in predictors:
            predictors[name] = Predictor(model, InferenceConfig(branch=name, max_atoms=max_atoms))
        reason = _why_not(structure, predictors[name])
        if reason is not None:
            left_out[reason] += 1
            continue
        waiting[name].append((index, structure))
        if sum(each.num_atoms for _, each in waiting[name]) >= max_atoms:
            yield from _predicted(predictors[name], waiting.pop(name), left_out)
    for name, rest in waiting.items():
        yield from _predicted(predictors[name], rest, left_out)


def _why_not(structure: AtomicStructure, predictor: Predictor) -> str | None:
    """Why a structure cannot be evaluated; None where it can."""
    if structure.num_atoms == 0:
        return "no atoms"
    if structure.energy is None:
        return "no energy label"
    missing = set(structure.atomic_numbers.tolist()) - set(predictor.mixture.allowed_atomic_numbers)
    if missing:
        return f"unknown to the branch: {', '.join(elements.symbols(missing))}"
    if not predictor.mixture.supporting(structure.atomic_numbers).any():
        return "no branch knows all of its elements"
    return None


def _predicted(
    predictor: Predictor, named: list[tuple[int, AtomicStructure]], left_out: Counter[str]
) -> Iterator[Answers]:
    """Predictions of a batch; where it fails, of each structure that can be predicted alone."""
    structures = [structure for _, structure in named]
    try:
        predictions = predictor.predict(structures)
    except ValueError as error:
        if len(named) > 1:
            for each in named:
                yield from _predicted(predictor, [each], left_out)
            return
        name = f"structure {structures[0].source or 0}: "
        left_out[f"no prediction: {str(error).removeprefix(name)}"] += 1
        return
    yield Answers(
        branch=in_words(predictor.mixture.branch),
        indices=[index for index, _ in named],
        structures=structures,
        predictions=predictions,
    )


def in_words(chosen: str | dict[str, float]) -> str:
    """A branch, "auto", or weights as `-b` takes them."""
    if isinstance(chosen, str):
        return chosen
    return ",".join(f"{name}={weight:g}" for name, weight in chosen.items())

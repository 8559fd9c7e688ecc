"""A new branch: which one it begins as, and the reference energies that fit its data."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from hydracalc import elements, references
from hydracalc.card import Card, Labels
from hydracalc.errors import unknown
from hydracalc.models.hydra import HydraModel
from hydracalc.predictor import InferenceConfig, Predictor, StructurePrediction
from hydracalc.references import References
from hydracalc.structure import AtomicStructure

# structures on which branches are compared
_COMPARED = 64


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A branch that the new one may begin as.

    Attributes:
        branch: its name.
        force_mae: on some of the training data, eV/Angstrom; None without force labels.
        energy_spread: of what its energies miss once references are refitted, eV/atom.
        missing: elements of the data that it does not know.
    """

    branch: str
    force_mae: float | None
    energy_spread: float | None
    missing: tuple[str, ...]


def candidates(model: HydraModel, structures: Sequence[AtomicStructure]) -> list[Candidate]:
    """Every branch of a model on some labelled structures, as it is."""
    step = max(1, len(structures) // _COMPARED)
    some = list(structures)[::step][:_COMPARED]
    present = np.unique(np.concatenate([s.atomic_numbers for s in structures]))
    found = []
    for index, name in enumerate(model.branch_names):
        lacking = present[~model.supported[index].cpu().numpy()[present]]
        if lacking.size:
            missing = tuple(elements.symbols(lacking))
            found.append(
                Candidate(branch=name, force_mae=None, energy_spread=None, missing=missing)
            )
            continue
        predictions = predict(model, name, some)
        errors = [
            np.abs(p.forces - s.forces).ravel()
            for p, s in zip(predictions, some, strict=True)
            if p.forces is not None and s.forces is not None
        ]
        offsets = _offsets(some, predictions)
        rest = [
            (s.energy - p.energy - offsets.baseline(s.atomic_numbers)) / s.num_atoms
            for p, s in zip(predictions, some, strict=True)
            if s.energy is not None
        ]
        found.append(
            Candidate(
                branch=name,
                force_mae=float(np.concatenate(errors).mean()) if errors else None,
                energy_spread=float(np.std(rest)),
                missing=(),
            )
        )
    return found


def best_of(found: Sequence[Candidate], wanted: str = "") -> str:
    """The branch to begin with: the wanted one, or that with the best forces, else energies.

    Raises:
        ValueError: there is none of that name, or none knows all elements.
    """
    by_name = {candidate.branch: candidate for candidate in found}
    if wanted:
        if wanted not in by_name:
            raise ValueError(unknown("branch", wanted, by_name))
        if by_name[wanted].missing:
            raise ValueError(f"branch {wanted!r} does not know {list(by_name[wanted].missing)}")
        return wanted
    able = [candidate for candidate in found if not candidate.missing]
    if not able:
        lacks = {candidate.branch: list(candidate.missing) for candidate in found}
        raise ValueError(f"no branch knows all elements of the data; missing: {lacks}")

    def error(candidate: Candidate) -> float:
        chosen = candidate.force_mae if candidate.force_mae is not None else candidate.energy_spread
        return float("inf") if chosen is None else chosen

    return min(able, key=error).branch


@contextmanager
def measured_not_trusted() -> Iterator[None]:
    """No warnings of charges and spins that are new to a branch: labels tell how it fares."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* is new to ", category=UserWarning)
        yield


def predict(
    model: HydraModel, branch: str, structures: Sequence[AtomicStructure]
) -> list[StructurePrediction]:
    """What one branch says of structures."""
    return Predictor(model, InferenceConfig(branch=branch)).predict(structures)


def chosen_references(
    model: HydraModel,
    branch: str,
    structures: Sequence[AtomicStructure],
    *,
    choice: str,
    isolated: Mapping[int, float],
) -> References:
    """References of a new branch that begins as one of the model.

    Args:
        model: with the old branch.
        branch: its name.
        structures: labelled; the references are to fit these.
        choice: "refit", "kept", "isolated", or a JSON file of eV by symbol.
        isolated: energy of free atoms among the data, eV, by atomic number.

    Raises:
        ValueError: the choice is none of those, or an element lacks an energy.
    """
    old = model.branch_specs[model.branch_names.index(branch)].references
    if choice == "kept":
        return old
    if choice == "refit":
        offsets = _offsets(structures, predict(model, branch, structures)).energies
        return References(np.where(np.isfinite(offsets), old.energies + offsets, old.energies))
    if choice == "isolated":
        given = {elements.symbol(z): energy for z, energy in isolated.items()}
        return _complete(given, structures, "structures of one atom")
    path = Path(choice)
    if not path.is_file():
        raise ValueError(
            f"references is {choice!r}, expected refit, kept, isolated, or a JSON file of eV by "
            "symbol"
        )
    try:
        given = {str(k): float(v) for k, v in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: no JSON object of eV by symbol: {error}") from None
    return _complete(given, structures, str(path))


def _complete(
    given: Mapping[str, float], structures: Sequence[AtomicStructure], source: str
) -> References:
    table = references.from_json(given)
    present = np.unique(np.concatenate([s.atomic_numbers for s in structures]))
    missing = present[~table.supported[present]]
    if missing.size:
        raise ValueError(f"{source}: no energy for {elements.symbols(missing)}")
    return table


def _offsets(
    structures: Sequence[AtomicStructure], predictions: Sequence[StructurePrediction]
) -> References:
    """Least change of references that takes predicted energies to labelled ones, eV."""
    compositions = np.stack(
        [np.bincount(s.atomic_numbers, minlength=elements.NUM_ELEMENTS) for s in structures]
    )
    labels = np.array([structure.energy for structure in structures], dtype=np.float64)
    misses = labels - [prediction.energy for prediction in predictions]
    return references.fit(compositions, misses)


def grown(
    model: HydraModel, branch: str, name: str, table: References, data: Sequence[AtomicStructure]
) -> HydraModel:
    """The model with one more branch that predicts what an old one does, but for references.

    Args:
        model: its branches are the first of the new model's.
        branch: the old one.
        name: of the new one.
        table: its references.
        data: that it is for.

    Raises:
        ValueError: the name is taken.
    """
    if name in model.branch_names:
        raise ValueError(f"the model has a branch {name!r} already: {list(model.branch_names)}")
    index = model.branch_names.index(branch)
    old = model.branch_specs[index]
    present = np.unique(np.concatenate([s.atomic_numbers for s in data]))
    card = Card(
        branch=name,
        title=f"fine-tuned from branch {branch}",
        theory="that of the fine-tuning data, not stated",
        labels=Labels(energy="eV", forces="eV/Angstrom"),
        group="structure",
        elements=tuple(elements.symbols(present)),
        license="that of the fine-tuning data, not stated",
        notes=f"weights begin as those of {branch} ({old.card.theory})",
    )
    spec = replace(
        old,
        name=name,
        card=card,
        references=table,
        num_structures=len(data),
        charges=tuple(sorted({s.total_charge for s in data})),
        spin_multiplicities=tuple(sorted({s.spin_multiplicity for s in data})),
        metrics={},
    )
    count = len(model.branch_names)
    return model.with_branches([*range(count), index], [*model.branch_specs, spec])


def blank(model: HydraModel, branch: str, *, seed: int) -> HydraModel:
    """A model of the same shape with one of the branches alone and random weights.

    Nothing that was learned is in it but the references of the branch.

    Args:
        model: whose shape it has.
        branch: name of the branch.
        seed: of the weights.
    """
    spec = model.branch_specs[model.branch_names.index(branch)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = HydraModel(model.config, [replace(spec, scale=1.0, metrics={})])
    fresh.precision = model.precision
    return fresh.eval().requires_grad_(False)

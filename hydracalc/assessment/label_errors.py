"""Errors on labelled sets by every choice of branches, beside what knows nothing."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hydracalc.assessment.subsets import LabelledSet
from hydracalc.mixture import AUTO
from hydracalc.models.hydra import HydraModel
from hydracalc.structure import AtomicStructure
from hydracalc.training.metrics import MAE_KEYS
from hydracalc.validation.branch_errors import BranchErrors
from hydracalc.validation.evaluation import OWN, evaluate

_FORCE, _ENERGY = MAE_KEYS["forces"], MAE_KEYS["energy"]


@dataclass(frozen=True, kw_only=True)
class ChoiceErrors:
    """One choice of branches on one set.

    Attributes:
        num_structures: that it could answer for.
        force_mae_eV_per_A: mean over force components; None without force labels.
        energy_mae_eV_per_atom: of the energy after the references of whoever answers.
    """

    num_structures: int
    force_mae_eV_per_A: float | None  # noqa: N815
    energy_mae_eV_per_atom: float | None  # noqa: N815


@dataclass(frozen=True, kw_only=True)
class SetErrors:
    """All choices on one set.

    Attributes:
        name: of the set.
        branch: dataset, whose branch "own" is.
        labels: whose they are.
        num_structures: in the set.
        bar_force_meV_per_A, bar_energy_meV_per_atom: errors asked for, None where none are.
        zero_force_eV_per_A: mean |component| of the labels: the error of predicting no force.
        references_alone_eV_per_atom: error of the energy of the own branch's references alone.
        choices: by name: "own", each branch, "auto" where the model has it.
        by_element: force error of the own branch on the atoms of each element, and how many.
        best: branch of the smallest force error among those that answer for as many structures as
            the own branch; known only with these very labels.
    """

    name: str
    branch: str
    labels: str
    num_structures: int
    bar_force_meV_per_A: float | None  # noqa: N815
    bar_energy_meV_per_atom: float | None  # noqa: N815
    zero_force_eV_per_A: float  # noqa: N815
    references_alone_eV_per_atom: float  # noqa: N815
    choices: dict[str, ChoiceErrors]
    by_element: dict[str, dict[str, float]]
    best: str

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text."""
        return asdict(self)


def measure_set(model: HydraModel, labelled: LabelledSet) -> SetErrors:
    """Errors of every choice on one set.

    Args:
        model: in evaluation mode.
        labelled: of a dataset that the model has a branch for.
    """
    found = {name: _of(model, labelled.structures, name) for name in (OWN, *model.branch_names)}
    if model.weighting is not None:
        found[AUTO] = _of(model, labelled.structures, AUTO)
    choices = {name: _row(errors) for name, errors in found.items() if errors.num_structures}
    own = choices[OWN].num_structures
    able = [n for n in model.branch_names if n in choices and choices[n].num_structures >= own]
    return SetErrors(
        name=labelled.name,
        branch=labelled.branch,
        labels=labelled.labels,
        num_structures=len(labelled.structures),
        bar_force_meV_per_A=labelled.bar.force_meV_per_A,
        bar_energy_meV_per_atom=labelled.bar.energy_meV_per_atom,
        zero_force_eV_per_A=_mean_force(labelled.structures),
        references_alone_eV_per_atom=_references_alone(model, labelled),
        choices=choices,
        best=min(able, key=lambda name: choices[name].force_mae_eV_per_A or np.inf),
        by_element=_by_element(found[OWN]),
    )


def _of(model: HydraModel, structures: Sequence[AtomicStructure], choice: str) -> BranchErrors:
    """Sums of one choice; empty where it answers for none."""
    by_branch = evaluate(model, structures, branch=choice).branches
    return next(iter(by_branch.values()), BranchErrors())


def _row(errors: BranchErrors) -> ChoiceErrors:
    values = errors.total.to_json()["all"]
    return ChoiceErrors(
        num_structures=errors.num_structures,
        force_mae_eV_per_A=values.get(_FORCE),
        energy_mae_eV_per_atom=values.get(_ENERGY),
    )


def _by_element(errors: BranchErrors) -> dict[str, dict[str, float]]:
    return {
        symbol: {"num_atoms": row["num_atoms"], _FORCE: row[_FORCE]}
        for symbol, row in errors.by_element.to_json().items()
        if row["num_atoms"] and _FORCE in row
    }


def _mean_force(structures: Sequence[AtomicStructure]) -> float:
    components = [each.forces.ravel() for each in structures if each.forces is not None]
    return float(np.abs(np.concatenate(components)).mean()) if components else float("nan")


def _references_alone(model: HydraModel, labelled: LabelledSet) -> float:
    spec = model.branch_specs[model.branch_names.index(labelled.branch)]
    errors = [
        abs(spec.references.normalize(each.energy, each.atomic_numbers))
        for each in labelled.structures
        if each.energy is not None and spec.references.supported[each.atomic_numbers].all()
    ]
    return float(np.mean(errors)) if errors else float("nan")

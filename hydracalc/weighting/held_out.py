"""Errors on compositions that a weighting was not fitted to, by every way to choose branches."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hydracalc.elements import reduced_formula
from hydracalc.structure import AtomicStructure
from hydracalc.weighting.evidence import Evidence

AUTO = "auto"
UNIFORM = "uniform"
OWN = "own"


@dataclass(frozen=True, kw_only=True)
class WeightingReport:
    """Errors on compositions the weighting never saw.

    Every composition is held out once: its structures are answered by weights fitted without it.
    Errors are means over compositions of the mean over their structures of one dataset, so a
    thousand frames of one molecule count once; datasets count as far as they are trusted.

    Attributes:
        num_structures: all of them; the weights that are kept are fitted to all.
        num_folds: parts that compositions were divided into.
        num_compositions: different ones.
        force_mae_eV_per_A: of "auto", "uniform" (all branches that know the elements, equally),
            "own" (the branch of the label, which composition does not tell) and each branch by
            name, over the structures that this choice can describe.
        energy_mae_eV_per_atom: the same for normalized energies.
        auto_force_mae_eV_per_A: of "auto" on the structures that each choice can describe, to
            compare like with like.
        auto_energy_mae_eV_per_atom: the same for normalized energies.
        described: structures that each choice can describe; errors of a choice that can describe
            none are absent.
        by_dataset_force_mae_eV_per_A: of all choices on the labels of each dataset, as far as a
            choice describes all of its structures.
        new_force_mae_eV_per_A: of the choices that describe all, on compositions that no branch
            was trained on either.
        num_new_compositions: of them.
    """

    num_structures: int
    num_folds: int
    num_compositions: int
    force_mae_eV_per_A: dict[str, float]  # noqa: N815
    energy_mae_eV_per_atom: dict[str, float]  # noqa: N815
    auto_force_mae_eV_per_A: dict[str, float]  # noqa: N815
    auto_energy_mae_eV_per_atom: dict[str, float]  # noqa: N815
    described: dict[str, int]
    by_dataset_force_mae_eV_per_A: dict[str, dict[str, float]]  # noqa: N815
    new_force_mae_eV_per_A: dict[str, float]  # noqa: N815
    num_new_compositions: int


def folds(structures: Sequence[AtomicStructure], count: int, seed: int) -> np.ndarray:
    """Which part each structure is in, int64, (S,): all of one reduced formula in one part.

    Reduced formulas, because the weights see fractions, to which a cell and its supercell are one.

    Raises:
        ValueError: there are fewer than two compositions.
    """
    formulas = [reduced_formula(each.atomic_numbers) for each in structures]
    compositions = sorted(set(formulas))
    if len(compositions) < 2:
        raise ValueError(
            f"weighting needs at least two compositions, one to hold out; got {compositions}"
        )
    order = np.random.default_rng(seed).permutation(len(compositions))
    part = {compositions[i]: rank % count for rank, i in enumerate(order)}
    return np.array([part[formula] for formula in formulas])


def choices(
    branch_names: Sequence[str], known: Tensor, own: Tensor, auto: Tensor
) -> dict[str, Tensor]:
    """Weights of every way to choose branches, float64, (S, B) each.

    Args:
        branch_names: B of them.
        known: branches that know all elements, bool, (S, B).
        own: index of the branch of the label, (S,).
        auto: weights by composition, (S, B).
    """
    knows = known.to(torch.float64)
    one_hot = torch.nn.functional.one_hot
    count = len(branch_names)
    given = {
        AUTO: auto,
        UNIFORM: knows / knows.sum(dim=1, keepdim=True).clamp(min=1),
        OWN: one_hot(own, count).double() * knows,
    }
    alone = {
        name: one_hot(torch.full_like(own, branch), count) * knows
        for branch, name in enumerate(branch_names)
    }
    return given | alone


class _Votes:
    """Means in which every composition of a dataset counts once, as far as it is trusted.

    Args:
        structures: labelled.
        trust: weight of the compositions of a dataset, by name; 1 where it is not named.
    """

    def __init__(self, structures: Sequence[AtomicStructure], trust: Mapping[str, float]) -> None:
        formulas = [reduced_formula(each.atomic_numbers) for each in structures]
        named = [f"{each.branch} {f}" for each, f in zip(structures, formulas, strict=True)]
        _, first, self.vote = np.unique(named, return_index=True, return_inverse=True)
        self.weight = np.array([trust.get(structures[i].branch, 1.0) for i in first])
        self.formulas = np.array(formulas)
        self.datasets = np.array([each.branch for each in structures])

    def mean(self, errors: np.ndarray, rows: np.ndarray) -> float:
        """Mean over the votes that have any of some rows, bool, (S,)."""
        count = np.bincount(self.vote[rows], minlength=len(self.weight))
        total = np.bincount(self.vote[rows], errors[rows], minlength=len(self.weight))
        cast = count > 0
        return float(np.average(total[cast] / count[cast], weights=self.weight[cast]))


def report(
    evidence: Evidence,
    structures: Sequence[AtomicStructure],
    by_choice: dict[str, Tensor],
    *,
    num_folds: int,
    trained_on: Collection[str],
    trust: Mapping[str, float],
) -> WeightingReport:
    """Errors of all choices.

    Args:
        evidence: what branches say of the structures.
        structures: labelled.
        by_choice: weights of `choices`, "auto" by weights that were fitted without the composition.
        num_folds: of them.
        trained_on: formulas in lowest terms that any branch was trained on.
        trust: weight of datasets in means, by name; 1 where one is not named.
    """
    votes = _Votes(structures, trust)
    errors = {
        name: [each.numpy() for each in evidence.errors(weights)]
        for name, weights in by_choice.items()
    }
    described = {name: (weights.sum(dim=1) > 0).numpy() for name, weights in by_choice.items()}
    able = [name for name, can in described.items() if can.any()]

    def means(kind: int, of: str | None = None) -> dict[str, float]:
        """Each choice, or another one, over what each choice can describe."""
        return {name: votes.mean(errors[of or name][kind], described[name]) for name in able}

    def forces(rows: np.ndarray) -> dict[str, float]:
        """Choices that describe all of some rows."""
        if not rows.any():
            return {}
        full = [name for name in able if described[name][rows].all()]
        return {name: votes.mean(errors[name][0], rows) for name in full}

    new = ~np.isin(votes.formulas, list(trained_on))
    return WeightingReport(
        num_structures=len(structures),
        num_folds=num_folds,
        num_compositions=len(set(votes.formulas)),
        force_mae_eV_per_A=means(0),
        energy_mae_eV_per_atom=means(1),
        auto_force_mae_eV_per_A=means(0, AUTO),
        auto_energy_mae_eV_per_atom=means(1, AUTO),
        described={name: int(can.sum()) for name, can in described.items()},
        by_dataset_force_mae_eV_per_A={
            str(name): forces(votes.datasets == name) for name in np.unique(votes.datasets)
        },
        new_force_mae_eV_per_A=forces(new),
        num_new_compositions=len(set(votes.formulas[new])),
    )

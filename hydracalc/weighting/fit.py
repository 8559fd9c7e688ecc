"""Fits the weighting on labels: which mixture of branches has the smallest error on a composition.

Labels come from structures the branches were not trained on, and whole compositions are held out,
so the report says what the weights are worth on compositions nobody has seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from hydracalc.elements import NUM_ELEMENTS, reduced_formula
from hydracalc.models.hydra import HydraModel
from hydracalc.models.weighting import BranchWeighting, WeightingConfig
from hydracalc.structure import AtomicStructure
from hydracalc.weighting.evidence import Evidence, gather_evidence


@dataclass(frozen=True, kw_only=True)
class WeightingFitConfig:
    """How the weighting is trained.

    Attributes:
        network: size of the weighting network.
        num_steps: steps over all structures at once.
        learning_rate: of AdamW.
        weight_decay: of AdamW; draws the weights to the mean over compositions.
        energy_weight: weight of the error per atom, 1/eV, beside that of the forces, A/eV.
            Energies of branches at different levels of theory are not quite comparable, so they
            count little.
        rest_force: structures with smaller forces count less, eV/Angstrom; see
            `Evidence.information`.
        prior_weight: what it costs to leave the prior, in units of the loss per nat: where labels
            say little, the branches stay mixed in the shares of the prior.
        element_prior_weight: the same for pure elements, which need no label to be weighed: keeps
            the weights of compositions far from all labels near the prior.
        held_out: fraction of the compositions that is only used for the report.
        seed: chooses those compositions and the first weights.
    """

    network: WeightingConfig = field(default_factory=WeightingConfig)
    num_steps: int = 400
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    energy_weight: float = 0.1
    rest_force: float = 0.5
    prior_weight: float = 0.03
    element_prior_weight: float = 0.05
    held_out: float = 0.2
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class WeightingReport:
    """Errors on compositions the weighting never saw.

    Attributes:
        num_fitted, num_held_out: structures on either side.
        compositions_held_out: different compositions among the held-out structures.
        force_mae_eV_per_A: of "auto", "uniform" (all branches that know the elements, equally),
            "own" (the branch of the label) and each branch by name, over the structures that
            this choice can describe.
        energy_mae_eV_per_atom: the same for normalized energies.
        auto_force_mae_eV_per_A: of "auto" on the structures that each choice can describe, to
            compare like with like.
        auto_energy_mae_eV_per_atom: the same for normalized energies.
        described: held-out structures that each choice can describe; errors of a choice that can
            describe none are absent.
    """

    num_fitted: int
    num_held_out: int
    compositions_held_out: int
    force_mae_eV_per_A: dict[str, float]  # noqa: N815
    energy_mae_eV_per_atom: dict[str, float]  # noqa: N815
    auto_force_mae_eV_per_A: dict[str, float]  # noqa: N815
    auto_energy_mae_eV_per_atom: dict[str, float]  # noqa: N815
    described: dict[str, int]


def fit_weighting(
    model: HydraModel,
    structures: Sequence[AtomicStructure],
    *,
    prior: Mapping[str, float] | None = None,
    config: WeightingFitConfig | None = None,
) -> tuple[BranchWeighting, WeightingReport]:
    """Train weights of the branches on labelled structures; the model itself is not changed.

    Args:
        model: trained branches.
        structures: labelled, not trained on, each of one of the model's branches.
        prior: share of each branch where labels do not tell, for example the `coverage` of what it
            was trained on; None is the number of structures it was trained on.
        config: how to train.

    Raises:
        ValueError: fewer than two compositions, or a structure of an unknown branch.
    """
    config = config or WeightingFitConfig()
    held_out = _held_out_compositions(structures, config)
    kept = [s for s in structures if reduced_formula(s.atomic_numbers) not in held_out]
    rest = [s for s in structures if reduced_formula(s.atomic_numbers) in held_out]
    evidence = gather_evidence(model, kept)
    weighting = _new_weighting(len(model.branch_names), config)
    weighting.seen |= (evidence.fractions > 0).any(dim=0)
    shares = prior or {spec.name: float(spec.num_structures) for spec in model.branch_specs}
    _train(weighting, evidence, model.supported, _log_prior(model, shares), config)
    weighting = weighting.to(model.dtype).requires_grad_(False)
    report = _report(model, weighting, gather_evidence(model, rest), rest)
    return weighting, replace(report, num_fitted=len(kept), compositions_held_out=len(held_out))


def _held_out_compositions(
    structures: Sequence[AtomicStructure], config: WeightingFitConfig
) -> set[str]:
    """Reduced formulas: the weights see fractions, to which a cell and its supercell are one."""
    compositions = sorted({reduced_formula(s.atomic_numbers) for s in structures})
    if len(compositions) < 2:
        raise ValueError(
            f"weighting needs at least two compositions, one to hold out; got {compositions}"
        )
    count = min(max(1, round(config.held_out * len(compositions))), len(compositions) - 1)
    order = np.random.default_rng(config.seed).permutation(len(compositions))
    return {compositions[i] for i in order[:count]}


def _new_weighting(num_branches: int, config: WeightingFitConfig) -> BranchWeighting:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return BranchWeighting(num_branches, config.network).double()


def _log_prior(model: HydraModel, shares: Mapping[str, float]) -> Tensor:
    """Logarithms of the prior shares in order of the branches, float64, (B,)."""
    values = [shares.get(name, 0.0) for name in model.branch_names]
    if min(values) <= 0:
        raise ValueError(f"prior shares are {dict(shares)}, expected a positive one of each branch")
    return torch.tensor(values, dtype=torch.float64).log()


def _train(
    weighting: BranchWeighting,
    evidence: Evidence,
    supported: Tensor,
    log_prior: Tensor,
    config: WeightingFitConfig,
) -> None:
    optimizer = torch.optim.AdamW(
        weighting.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    pure = torch.eye(NUM_ELEMENTS, dtype=torch.float64)[supported.any(dim=0)]
    at_rest = pure.new_zeros(len(pure), 2)
    information = evidence.information(config.rest_force)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.num_steps)
    for _ in range(config.num_steps):
        optimizer.zero_grad(set_to_none=True)
        weights = weighting(evidence.fractions, evidence.state, supported)
        force_error, energy_error = evidence.errors(weights)
        cost = information * (force_error + config.energy_weight * energy_error)
        objective = (
            cost.sum() / information.sum()
            + config.prior_weight * _divergence(weights, log_prior)
            + config.element_prior_weight
            * _divergence(weighting(pure, at_rest, supported), log_prior)
        )
        objective.backward()
        optimizer.step()
        schedule.step()


def _divergence(weights: Tensor, log_prior: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of weights, (S, B), from the prior, nat.

    The prior of a structure is restricted to the branches that know its elements: those whose
    weight is not exactly 0.
    """
    known = weights > 0
    restricted = torch.log_softmax(log_prior.masked_fill(~known, -torch.inf), dim=1)
    cross = (weights * restricted.masked_fill(~known, 0.0)).sum(dim=1)
    return -(torch.special.entr(weights).sum(dim=1) + cross).mean()


def _report(
    model: HydraModel,
    weighting: BranchWeighting,
    evidence: Evidence,
    structures: Sequence[AtomicStructure],
) -> WeightingReport:
    """Errors of every way to choose branches, on held-out compositions."""
    known = evidence.known.to(torch.float64)
    own = torch.tensor([model.branch_names.index(s.branch) for s in structures])
    one_hot = torch.nn.functional.one_hot
    count = len(model.branch_names)
    choices = {
        "auto": weighting(evidence.fractions, evidence.state, model.supported).double(),
        "uniform": known / known.sum(dim=1, keepdim=True),
        "own": one_hot(own, count).double(),
    }
    for branch, name in enumerate(model.branch_names):
        choices[name] = one_hot(torch.full_like(own, branch), count) * known
    errors = {name: evidence.errors(weights) for name, weights in choices.items()}
    described = {name: weights.sum(dim=1) > 0 for name, weights in choices.items()}

    def means(kind: int, of: str | None = None) -> dict[str, float]:
        """Mean error of each choice, or of another one, over what each choice can describe."""
        return {
            name: float(errors[of or name][kind][can].mean())
            for name, can in described.items()
            if can.any()
        }

    return WeightingReport(
        num_fitted=0,
        num_held_out=len(structures),
        compositions_held_out=0,
        force_mae_eV_per_A=means(0),
        energy_mae_eV_per_atom=means(1),
        auto_force_mae_eV_per_A=means(0, "auto"),
        auto_energy_mae_eV_per_atom=means(1, "auto"),
        described={name: int(can.sum()) for name, can in described.items()},
    )

"""Fits the weighting on labels: which mixture of branches has the smallest error on a composition.

Labels come from structures the branches were not trained on. What the report says of a composition
comes from weights that were fitted without it, so it tells what they are worth on compositions
nobody has seen.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hydracalc.elements import reduced_formula
from hydracalc.errors import unknown
from hydracalc.models.hydra import HydraModel
from hydracalc.models.weighting import BranchWeighting, WeightingConfig
from hydracalc.structure import AtomicStructure
from hydracalc.weighting import held_out
from hydracalc.weighting.evidence import Evidence, gather_evidence
from hydracalc.weighting.held_out import WeightingReport
from hydracalc.weighting.trained_on import TrainedOn


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
            `Evidence.information` and `TrainedOn`.
        prior_weight: what it costs to leave what the branches were trained on, in units of the
            loss per nat: labels of few compositions say little of the next one.
        trust: how much labels of a branch count beside those of others, by name; 1 where it is
            not named. A cheap level of theory that covers much would else answer everywhere.
        folds: parts of the compositions, each held out once for the report.
        seed: divides the compositions and makes the first weights.
    """

    network: WeightingConfig = field(default_factory=WeightingConfig)
    num_steps: int = 200
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    energy_weight: float = 0.1
    rest_force: float = 0.5
    prior_weight: float = 0.3
    trust: Mapping[str, float] = field(default_factory=dict)
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in self.trust.items():
            if not 0 < value <= 1:
                raise ValueError(f"trust in {name} is {value}, expected above 0, at most 1")
        if self.folds < 2:
            raise ValueError(f"folds is {self.folds}, expected at least 2")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lesson:
    """What one fit is made from.

    Attributes:
        evidence: of S structures.
        votes: how much each counts, (S,): those of one composition and dataset share one vote.
        experience: logarithm of what was seen near, (S, B).
    """

    evidence: Evidence
    votes: Tensor
    experience: Tensor

    def without(self, fold: Tensor) -> "_Lesson":
        """The lesson without the structures of a bool mask, (S,)."""
        kept = ~fold
        return _Lesson(
            evidence=self.evidence.rows(kept),
            votes=self.votes[kept],
            experience=self.experience[kept],
        )


def fit_weighting(
    model: HydraModel,
    structures: Sequence[AtomicStructure],
    *,
    trained_on: TrainedOn | None = None,
    config: WeightingFitConfig | None = None,
) -> tuple[BranchWeighting, WeightingReport]:
    """Train weights of the branches on labelled structures; the model itself is not changed.

    Args:
        model: trained branches.
        structures: labelled, not trained on, each of one of the model's branches.
        trained_on: what the branches were trained on; None holds all of them for equal where labels
            do not tell.
        config: how to train.

    Raises:
        ValueError: fewer than two compositions, or a structure of, or trust in, an unknown branch.
    """
    config = config or WeightingFitConfig()
    for name in config.trust:
        if name not in model.branch_names:
            raise ValueError(unknown("branch", name, model.branch_names))
    trained_on = trained_on or TrainedOn(model.branch_names, config.rest_force)
    parts = torch.from_numpy(held_out.folds(structures, config.folds, config.seed))
    weighting = _new_weighting(model, trained_on, config)
    evidence = gather_evidence(model, structures)
    lesson = _Lesson(
        evidence=evidence,
        votes=_votes(structures, config.trust),
        experience=weighting.experience(evidence.fractions),  # type: ignore[misc]
    )
    auto = torch.zeros_like(evidence.known, dtype=torch.float64)
    for part in parts.unique():
        fold = parts == part
        fitted = _new_weighting(model, trained_on, config)
        _train(fitted, lesson.without(fold), model.supported, config)
        with torch.no_grad():
            asked = evidence.fractions[fold], evidence.state[fold], model.supported
            auto[fold] = fitted(*asked, experience=lesson.experience[fold])
    _train(weighting, lesson, model.supported, config)
    weighting.seen |= (evidence.fractions > 0).any(dim=0)
    own = torch.tensor([model.branch_names.index(each.branch) for each in structures])
    report = held_out.report(
        evidence,
        structures,
        held_out.choices(model.branch_names, evidence.known, own, auto),
        num_folds=len(parts.unique()),
        trained_on=trained_on.fractions,
        trust=config.trust,
    )
    return weighting.to(model.dtype).requires_grad_(False), report


def _new_weighting(
    model: HydraModel, trained_on: TrainedOn, config: WeightingFitConfig
) -> BranchWeighting:
    """Weights that follow what the branches were trained on alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        table = trained_on.table(config.trust)
        made = BranchWeighting(len(model.branch_names), config.network, experience=table)
    for numbers in trained_on.fractions.values():
        made.seen |= torch.from_numpy(numbers > 0)
    return made.double()


def _votes(structures: Sequence[AtomicStructure], trust: Mapping[str, float]) -> Tensor:
    """Trust over the number of structures of the same composition and dataset, float64, (S,)."""
    named = [(each.branch, reduced_formula(each.atomic_numbers)) for each in structures]
    counts = Counter(named)
    votes = [trust.get(each[0], 1.0) / counts[each] for each in named]
    return torch.tensor(votes, dtype=torch.float64)


def _train(
    weighting: BranchWeighting, lesson: _Lesson, supported: Tensor, config: WeightingFitConfig
) -> None:
    evidence, votes = lesson.evidence, lesson.votes
    optimizer = torch.optim.AdamW(
        weighting.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    informed = votes * evidence.information(config.rest_force)
    total = informed.sum().clamp(min=torch.finfo(torch.float64).tiny)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.num_steps)
    for _ in range(config.num_steps):
        optimizer.zero_grad(set_to_none=True)
        weights = weighting(
            evidence.fractions, evidence.state, supported, experience=lesson.experience
        )
        force_error, energy_error = evidence.errors(weights)
        cost = informed * (force_error + config.energy_weight * energy_error)
        distance = votes * _divergence(weights, lesson.experience)
        objective = cost.sum() / total + config.prior_weight * distance.sum() / votes.sum()
        objective.backward()
        optimizer.step()
        schedule.step()


def _divergence(weights: Tensor, log_prior: Tensor) -> Tensor:
    """Kullback-Leibler divergence of weights, (S, B), from the prior, (S, B), nat, (S,).

    The prior of a structure is restricted to the branches that know its elements: those whose
    weight is not exactly 0.
    """
    known = weights > 0
    restricted = torch.log_softmax(log_prior.masked_fill(~known, -torch.inf), dim=1)
    cross = (weights * restricted.masked_fill(~known, 0.0)).sum(dim=1)
    return -(torch.special.entr(weights).sum(dim=1) + cross)

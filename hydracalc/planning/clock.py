"""A simulated clock: steps of up to thousands of ranks whose batches are drawn at random.

The analytic model takes all ranks of a group to do the same; here every rank has its own
structures, so that the slowest of them is waited for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hydracalc.parallel.mesh import Group
from hydracalc.planning.layouts import Layout, Model
from hydracalc.planning.split import Scaling, StepSplit
from hydracalc.planning.workload import BranchLoad

Dealing = Literal["turns", "balanced"]


@dataclass(frozen=True, kw_only=True)
class ClockConfig:
    """How steps are simulated.

    Attributes:
        steps: simulated of each number of ranks.
        dealing: "turns" gives a group's structures to its ranks one by one; "balanced" evens out
            their atoms: the largest first, in turns there and back.
        seed: of the sizes of structures.
    """

    steps: int = 8
    dealing: Dealing = "balanced"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.dealing not in ("turns", "balanced"):
            raise ValueError(
                f"clock {self}: expected at least 1 step, and dealing 'turns' or 'balanced'"
            )


def simulate(
    model: Model,
    layout: Layout,
    num_ranks: Sequence[int],
    *,
    scaling: Scaling = "weak",
    config: ClockConfig | None = None,
) -> list[StepSplit]:
    """Time of a step over numbers of ranks, average over the simulated steps.

    Args:
        model: what a run costs.
        layout: of branches over ranks.
        num_ranks: each R; those that cannot be laid out are left out.
        scaling: "weak" gives each rank its full part; "strong" divides the batch of the largest R.
        config: how.

    Raises:
        ValueError: no number of ranks.
    """
    if not num_ranks:
        raise ValueError("numbers of ranks are [], expected at least one")
    chosen = config or ClockConfig()
    part = model.workload.structures_per_rank()
    rows = []
    for count in num_ranks:
        structures = part * (max(num_ranks) if scaling == "strong" else count)
        try:
            groups = model.groups(layout, count)
        except ValueError:
            continue
        rng = np.random.default_rng([chosen.seed, count])
        steps = [
            _step(model, groups, structures, rng=rng, dealing=chosen.dealing)
            for _ in range(chosen.steps)
        ]
        compute, longest, collective, made = np.mean(steps, axis=0)
        rows.append(
            StepSplit(
                source="simulated",
                run=model.workload.name,
                layout=layout,
                scaling=scaling,
                ranks=count,
                structures=structures,
                compute_s=float(compute),
                collective_s=float(collective),
                data_s=max(0.0, float(made - longest - collective)),
                idle_s=max(0.0, float(longest - compute)),
            )
        )
    return rows


def _step(
    model: Model,
    groups: tuple[Group, ...],
    structures: float,
    *,
    rng: np.random.Generator,
    dealing: Dealing,
) -> tuple[float, float, float, float]:
    """Seconds of one step: computing on average, on the slowest rank, sums, slowest graph."""
    total = sum(len(group.ranks) for group in groups)
    computes, made, sums = [], 0.0, 0.0
    for group in groups:
        atoms, edges, present = _dealt(model, group, structures, rng=rng, dealing=dealing)
        held = len(group.branches)
        costs = [
            model.compute(a, e, present=p, held=held)
            for a, e, p in zip(atoms, edges, present, strict=True)
        ]
        computes += costs
        made = max(made, model.calibration.graph_s * float(atoms.max()))
        sums = max(sums, model.collective(total, len(group.ranks), held))
    mean, longest = float(np.mean(computes)), max(computes)
    return mean, longest, max(sums - model.machine.overlap * mean, 0.0), made


def _dealt(
    model: Model,
    group: Group,
    structures: float,
    *,
    rng: np.random.Generator,
    dealing: Dealing,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms, edges and number of branches of each rank of a group, 3 x (ranks,)."""
    draws = model.workload.draws()
    ranks = len(group.ranks)
    atoms, edges, branch = [], [], []
    for number in group.branches:
        load = model.workload.branches[number]
        # branches are spread evenly over an epoch: every step has its share, up to rounding
        count = int(np.floor(structures * draws[number] + rng.random()))
        sizes = _sizes(load, count, rng)
        atoms.append(sizes)
        edges.append(sizes * load.edges / load.atoms)
        branch.append(np.full(count, number))
    all_atoms, all_edges = np.concatenate(atoms), np.concatenate(edges)
    all_branch = np.concatenate(branch)
    rank = _owners(all_atoms, ranks, rng=rng, dealing=dealing)
    present = np.zeros(ranks)
    for number in group.branches:
        mine = np.bincount(rank[all_branch == number], minlength=ranks)
        present += mine > 0
    return (
        np.bincount(rank, all_atoms, ranks),
        np.bincount(rank, all_edges, ranks),
        present,
    )


def _owners(
    atoms: np.ndarray, ranks: int, *, rng: np.random.Generator, dealing: Dealing
) -> np.ndarray:
    """Rank of each structure, (n,)."""
    number = np.arange(len(atoms))
    turns = number % ranks
    if dealing == "turns":
        return rng.permutation(turns)
    there = (number // ranks) % 2 == 0
    owner = np.empty(len(atoms), dtype=np.int64)
    owner[np.argsort(-atoms, kind="stable")] = np.where(there, turns, ranks - 1 - turns)
    return owner


def _sizes(load: BranchLoad, count: int, rng: np.random.Generator) -> np.ndarray:
    """Atoms of structures, log-normal with the branch's mean and deviation, 1 to its largest."""
    if load.atoms_spread == 0:
        return np.full(count, load.atoms)
    width = np.log1p((load.atoms_spread / load.atoms) ** 2)
    drawn = rng.lognormal(np.log(load.atoms) - width / 2, np.sqrt(width), count)
    return np.clip(drawn, 1.0, load.most_atoms)

"""Equal work for every rank: which structures make a step, and which rank takes which of them.

These are two decisions. `cut` puts the draws of an epoch into global batches, one a step, and
that changes what is learned. `divide` deals one global batch to the ranks; sums over the world are
the same whoever computes a term, so that changes only who waits for whom.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from itertools import combinations
from typing import Literal, Protocol

import numpy as np

from hydracalc.errors import unknown
from hydracalc.graphs.batches import budget_batches

METHODS = ("random", "sorted", "greedy")
Method = Literal["random", "sorted", "greedy"]

# what the stream of random numbers is for, part of its seed; 1 and 2 are the sampler's
_ORDER_OF_STEPS = 3

# a step is made longer for a structure that is too large for a share, but not longer than this
# many times the average, and the others are not left with less than this part of it
_LONGEST, _SHORTEST = 2.0, 0.5


class RankGroup(Protocol):
    """Ranks that share the structures of some branches."""

    @property
    def ranks(self) -> Sequence[int]:
        """Numbers of the ranks."""

    @property
    def branches(self) -> Sequence[int]:
        """Indices of the branches."""


class Sizes(Protocol):
    """What is known of S structures without reading them, as `TrainingSet` has it."""

    @property
    def num_atoms(self) -> np.ndarray:
        """Atoms of each, (S,)."""

    @property
    def num_edges(self) -> np.ndarray:
        """Edges of each, (S,)."""

    @property
    def branch_index(self) -> np.ndarray:
        """Branch of each, (S,)."""


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """Time of a training step as a sum over its structures; defaults are in units of one edge.

    The defaults were measured by `python benchmarks/balance.py measure`.

    Attributes:
        per_atom: of each atom.
        per_edge: of each edge.
        per_structure: of each structure.
        per_step: of a step whatever is in it; it is the same for all ranks, so that it plays no
            part in what is dealt to whom.
    """

    per_atom: float = 5.0
    per_edge: float = 1.0
    per_structure: float = 30.0
    per_step: float = 1500.0

    def __post_init__(self) -> None:
        values = (self.per_atom, self.per_edge, self.per_structure)
        if min(*values, self.per_step) < 0 or max(values) <= 0:
            raise ValueError(
                f"cost model {self}: no cost may be negative, and one per atom, edge or structure "
                "must be positive"
            )

    def cost(self, num_atoms: np.ndarray, num_edges: np.ndarray) -> np.ndarray:
        """Cost of each structure, (S,).

        Args:
            num_atoms: of each structure, (S,).
            num_edges: of each structure, (S,).
        """
        return self.per_structure + self.per_atom * num_atoms + self.per_edge * num_edges


def fit_cost(work: np.ndarray, seconds: np.ndarray) -> CostModel:
    """The cost model nearest to measured steps in relative error, no coefficient negative.

    Args:
        work: atoms, edges and structures of each step, (n, 3).
        seconds: time of each step, (n,).

    Returns:
        Costs in seconds.

    Raises:
        ValueError: there are fewer than 4 steps, or a time is not positive.
    """
    if len(seconds) < 4 or np.min(seconds) <= 0:
        raise ValueError(f"{len(seconds)} step times, expected at least 4 and all positive")
    columns = np.column_stack([work, np.ones(len(seconds))]) / seconds[:, None]
    best, least = np.zeros(4), np.inf
    # with four unknowns every choice of those that are not zero can be tried
    chosen = (list(c) for size in range(1, 5) for c in combinations(range(4), size))
    for kept in chosen:
        values = np.linalg.lstsq(columns[:, kept], np.ones(len(seconds)), rcond=None)[0]
        error = np.square(columns[:, kept] @ values - 1).sum()
        if values.min() >= 0 and error < least and min(kept) < 3:
            best, least = np.zeros(4), error
            best[kept] = values
    atom, edge, structure, step = (float(value) for value in best)
    return CostModel(per_atom=atom, per_edge=edge, per_structure=structure, per_step=step)


@dataclass(frozen=True, kw_only=True)
class BalanceConfig:
    """How work is made equal.

    Attributes:
        cut: how an epoch's draws become steps: "random" takes them as they come; "sorted" puts
            structures of like cost into a step, and the steps into a random order; "greedy" packs
            the draws of some neighboring steps anew, so that these steps cost the same and
            structures too large for a rank's share come together.
        divide: how a step is dealt to ranks: "random" deals structures in turns; "sorted" in
            turns by cost, there and back; "greedy" gives the costliest first, each to the rank
            that has least.
        window: steps that "greedy" packs together.
        bins: classes of cost that "sorted" makes.
        cost: of structures.
    """

    cut: Method = "random"  # the same steps in every layout; "greedy" leaves least idle
    divide: Method = "greedy"
    window: int = 16
    bins: int = 16
    cost: CostModel = field(default_factory=CostModel)

    def __post_init__(self) -> None:
        for method in (self.cut, self.divide):
            if method not in METHODS:
                raise ValueError(unknown("balance", method, METHODS))
        if self.window < 1 or self.bins < 1:
            raise ValueError(
                f"window is {self.window} and bins {self.bins}, both must be at least 1"
            )


class Balancer:
    """Steps of an epoch, and the part of each rank in a step.

    Everything follows from the arguments, so that every rank finds the same without a message.

    Args:
        data: sizes and branches of S structures.
        groups: of the ranks 0..R-1, each rank in one; each branch of the data in one.
        config: how.

    Raises:
        ValueError: a rank or a branch is in no group, or in two.
    """

    def __init__(self, data: Sizes, *, groups: Sequence[RankGroup], config: BalanceConfig) -> None:
        self.data = data
        self.groups = groups
        self.config = config
        self.world_size = _world_size(groups)
        self.cost = config.cost.cost(data.num_atoms, data.num_edges)
        self.group_of = _groups_of(data.branch_index, groups)

    def cut(
        self, draws: np.ndarray, *, max_atoms: int, max_edges: int, seed: int, epoch: int
    ) -> list[np.ndarray]:
        """Indices of the structures of every global batch of an epoch; none is empty.

        Args:
            draws: indices of structures in the order drawn, (n,); one may come twice.
            max_atoms: atoms of a rank, on average over ranks.
            max_edges: edges of a rank, on average over ranks.
            seed: of the order of steps.
            epoch: of the draws.
        """
        as_drawn = budget_batches(
            self.data.num_atoms,
            self.data.num_edges,
            max_atoms=max_atoms * self.world_size,
            max_edges=max_edges * self.world_size,
            order=draws,
        )
        rng = np.random.default_rng([seed, _ORDER_OF_STEPS, epoch, self.world_size])
        if self.config.cut == "random" or not as_drawn:
            return as_drawn
        if self.config.cut == "sorted":
            steps = self._sorted(draws, len(as_drawn))
            return [steps[k] for k in rng.permutation(len(steps))]
        count = max(1, round(len(as_drawn) / self.config.window))
        packed: list[np.ndarray] = []
        for numbers in np.array_split(np.arange(len(as_drawn)), count):
            window = np.concatenate([as_drawn[k] for k in numbers])
            steps = self._packed(window, len(numbers))
            packed += [steps[k] for k in rng.permutation(len(steps))]
        return packed

    def divide(self, batch: np.ndarray, *, turn: int = 0) -> list[np.ndarray]:
        """Indices of the structures of each rank, R arrays; a rank may have none.

        Args:
            batch: indices of the structures of a global batch, (n,).
            turn: which rank of a group comes first; the number of the step spreads what is over.
        """
        parts = divide(
            self.cost[batch],
            self.data.branch_index[batch],
            groups=self.groups,
            method=self.config.divide,
            turn=turn,
        )
        return [batch[part] for part in parts]

    def _sorted(self, draws: np.ndarray, num_steps: int) -> list[np.ndarray]:
        """Draws by classes of cost, as drawn within a class, cut into steps of equal cost."""
        by_cost = draws[np.argsort(self.cost[draws], kind="stable")]
        parts = np.arange(1, self.config.bins) / self.config.bins
        places = np.searchsorted(_done(self.cost[by_cost]), parts)
        bound = by_cost[np.minimum(places, len(by_cost) - 1)]
        classes = np.searchsorted(self.cost[bound], self.cost[draws], side="right")
        taken = draws[np.argsort(classes, kind="stable")]
        step = (_done(self.cost[taken]) * num_steps).astype(np.int64)
        return _collected(taken, step, num_steps)

    def _packed(self, window: np.ndarray, num_steps: int) -> list[np.ndarray]:
        """Draws of a window in steps of equal cost, each branch in its share in every step."""
        cost, branch = self.cost[window], self.data.branch_index[window]
        step, length = _gather_large(
            cost, self.group_of[window], [len(g.ranks) for g in self.groups], num_steps
        )
        shares = length / length.sum()
        load = _sums(step[step >= 0], cost[step >= 0], num_steps)
        for b in np.unique(branch):
            mine = branch == b
            placed = mine & (step >= 0)
            room = cost[mine].sum() * shares - _sums(step[placed], cost[placed], num_steps)
            free = np.nonzero(mine & (step < 0))[0]
            step[free] = _longest_first(cost[free], room=room, tie=load - cost.sum() * shares)
            load += _sums(step[free], cost[free], num_steps)
        return _collected(window, step, num_steps)


def divide(
    cost: np.ndarray,
    branch: np.ndarray,
    *,
    groups: Sequence[RankGroup],
    method: Method,
    turn: int = 0,
) -> list[np.ndarray]:
    """Deal the structures of a global batch to ranks of their branches' groups.

    Args:
        cost: of each structure, (n,).
        branch: of each structure, (n,).
        groups: of the ranks 0..R-1.
        method: of `BalanceConfig.divide`.
        turn: which rank of a group comes first.

    Returns:
        Places in the batch, ascending, of the structures of each rank, R arrays. Each structure is
        in one of them; an array may be empty.

    Raises:
        ValueError: the method is unknown, or groups and structures do not fit.
    """
    if method not in METHODS:
        raise ValueError(unknown("balance", method, METHODS))
    rank = np.zeros(len(cost), dtype=np.int64)
    group_of = _groups_of(branch, groups)
    for number, group in enumerate(groups):
        members = np.nonzero(group_of == number)[0]
        ranks = np.roll(np.asarray(group.ranks), -turn)
        rank[members] = ranks[_dealt(cost[members], len(group.ranks), method)]
    return _collected(np.arange(len(cost)), rank, _world_size(groups), keep_empty=True)


def _dealt(cost: np.ndarray, count: int, method: str) -> np.ndarray:
    """Which of `count` ranks each structure goes to, (n,)."""
    if method == "greedy":
        return _longest_first(cost, room=np.zeros(count), tie=np.zeros(count))
    turns = np.arange(len(cost)) % count
    if method == "random":
        return turns
    there = (np.arange(len(cost)) // count) % 2 == 0
    rank = np.empty(len(cost), dtype=np.int64)
    rank[_costliest_first(cost)] = np.where(there, turns, count - 1 - turns)
    return rank


def _costliest_first(cost: np.ndarray) -> np.ndarray:
    return np.argsort(-cost, kind="stable")


def _longest_first(cost: np.ndarray, *, room: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """The bin of each item: the costliest first, each where most room is left.

    Longest processing time first [Graham 1969, doi:10.1137/0117039]: no bin then exceeds 4/3 of
    the best largest one.
    """
    heap = list(zip((-room).tolist(), tie.tolist(), range(len(room)), strict=True))
    heapify(heap)
    chosen = np.empty(len(cost), dtype=np.int64)
    for item in _costliest_first(cost).tolist():
        filled, order, number = heap[0]
        chosen[item] = number
        heapreplace(heap, (filled + float(cost[item]), order, number))
    return chosen


def _gather_large(
    cost: np.ndarray, group_of: np.ndarray, num_ranks: Sequence[int], num_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Put structures that cost more than a rank's share of a step together, one a rank.

    A rank with such a structure keeps all others waiting, so they wait once for many of them; and
    that step is made longer, so that the others have more to do.

    Returns:
        step of each structure, -1 where it is free, (n,), and the cost of a rank in each step.
    """
    totals = _sums(group_of, cost, len(num_ranks)) / np.asarray(num_ranks)
    average = totals.max() / num_steps  # of the group that takes longest
    step = np.full(len(cost), -1, dtype=np.int64)
    order = _costliest_first(cost)
    level = average
    lengths: list[float] = []
    while len(lengths) < num_steps - 1 and len(order) and cost[order[0]] > level:
        length = min(cost[order[0]], _LONGEST * average)
        rest = (average * num_steps - sum(lengths) - length) / (num_steps - len(lengths) - 1)
        if rest < _SHORTEST * average:
            break
        for group, count in enumerate(num_ranks):
            step[order[(group_of[order] == group) & (cost[order] > level)][:count]] = len(lengths)
        order = order[step[order] < 0]
        level = rest
        lengths.append(length)
    return step, np.array([*lengths, *[level] * (num_steps - len(lengths))])


def _sums(number: np.ndarray, cost: np.ndarray, count: int) -> np.ndarray:
    """Cost of all items of each number 0..count-1; bincount alone gives integers for no items."""
    return np.bincount(number, cost, count).astype(np.float64)


def _done(cost: np.ndarray) -> np.ndarray:
    """Part of the total cost that is done halfway through each item, in (0, 1)."""
    total = np.cumsum(cost)
    return (total - cost / 2) / total[-1]


def _collected(
    items: np.ndarray, number: np.ndarray, count: int, *, keep_empty: bool = False
) -> list[np.ndarray]:
    """Items by their number 0..count-1, in order within each."""
    order = np.argsort(number, kind="stable")
    bounds = np.searchsorted(number[order], np.arange(1, count))
    return [part for part in np.split(items[order], bounds) if keep_empty or len(part)]


def _world_size(groups: Sequence[RankGroup]) -> int:
    ranks = sorted(int(rank) for group in groups for rank in group.ranks)
    if not ranks or ranks != list(range(len(ranks))) or not all(len(g.ranks) for g in groups):
        raise ValueError(
            f"groups have ranks {[list(g.ranks) for g in groups]}, expected each of 0..R-1 in one "
            "group, and no group empty"
        )
    return len(ranks)


def _groups_of(branch: np.ndarray, groups: Sequence[RankGroup]) -> np.ndarray:
    """Group of each structure, (n,)."""
    home = np.full(1 + max((int(b) for b in branch), default=0), -1, dtype=np.int64)
    for number, group in enumerate(groups):
        for each in group.branches:
            if each < len(home):
                if home[each] >= 0:
                    raise ValueError(f"branch {each} is in two groups, {home[each]} and {number}")
                home[each] = number
    found = home[branch] if len(branch) else np.zeros(0, dtype=np.int64)
    if len(found) and found.min() < 0:
        raise ValueError(f"branch {branch[found < 0][0]} is in no group")
    return found

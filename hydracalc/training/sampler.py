"""Which structures a step sees: every branch in its share, in batches of bounded size."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hydracalc.errors import unknown
from hydracalc.graphs.collate import collate
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.neighbors import Edges, neighbor_list
from hydracalc.structure import AtomicStructure

# what a stream of random numbers is for, part of its seed
_PASS = 1
_INTERLEAVING = 2

# batches that are made ahead of the step
_AHEAD = 3


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Shares of the branches, sizes of the batches.

    Attributes:
        alpha: a branch of n structures and weight w has a share ~ w n^alpha of every epoch: 1 takes
            the data as they come, 0 gives every branch the same.
        max_atoms: atoms in a batch, for each rank.
        max_edges: edges in a batch, for each rank.
        seed: of the order.
    """

    alpha: float = 0.75
    max_atoms: int = 256
    max_edges: int = 12000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}, alpha must be from 0 to 1")
        if self.max_atoms < 1 or self.max_edges < 1:
            raise ValueError(
                f"max_atoms is {self.max_atoms} and max_edges {self.max_edges}, "
                "both must be at least 1"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Census:
    """What is known of every structure of a run on every rank.

    Attributes:
        branch_index: branch of each, (S,).
        num_atoms: atoms of each, (S,).
        num_edges: edges of each, (S,).
    """

    branch_index: np.ndarray
    num_atoms: np.ndarray
    num_edges: np.ndarray

    def __len__(self) -> int:
        return len(self.branch_index)


class TrainingSet:
    """Labelled structures of all branches, their neighbor lists computed once.

    Attributes:
        structures: S of them.
        branch_index: branch of each, (S,).
        num_atoms: atoms of each, (S,).
        num_edges: edges of each, (S,).

    Args:
        structures: at least one.
        branch_names: the model's branches; a structure of another is refused.
        cutoff: Angstrom.

    Raises:
        ValueError: there is no structure, or one has no neighbor list or an unknown branch.
    """

    def __init__(
        self, structures: Sequence[AtomicStructure], *, branch_names: Sequence[str], cutoff: float
    ) -> None:
        if not structures:
            raise ValueError("training needs at least one structure, got 0")
        self.structures = list(structures)
        self.cutoff = cutoff
        self._branches = {name: b for b, name in enumerate(branch_names)}
        self._edges = [_compact(self._neighbors(structure)) for structure in self.structures]
        self.num_atoms = np.array([s.num_atoms for s in self.structures])
        self.num_edges = np.array([len(edges) for edges in self._edges])
        self.branch_index = np.array([self._branch_of(s) for s in self.structures])

    def __len__(self) -> int:
        return len(self.structures)

    @property
    def census(self) -> Census:
        """Of these structures alone."""
        return Census(
            branch_index=self.branch_index, num_atoms=self.num_atoms, num_edges=self.num_edges
        )

    def graph(self, indices: np.ndarray) -> AtomicGraph | None:
        """Structures of these indices as one graph; None of none."""
        if not len(indices):
            return None
        return collate(
            [self.structures[i] for i in indices],
            self.cutoff,
            branches=self._branches,
            edges=[_widened(self._edges[i]) for i in indices],
        )

    def _branch_of(self, structure: AtomicStructure) -> int:
        if structure.branch not in self._branches:
            message = unknown("branch", structure.branch, self._branches)
            raise ValueError(f"structure {structure.source}: {message}")
        return self._branches[structure.branch]

    def _neighbors(self, structure: AtomicStructure) -> Edges:
        try:
            return neighbor_list(structure.positions, structure.cell, structure.pbc, self.cutoff)
        except ValueError as error:
            raise ValueError(f"structure {structure.source}: {error}") from None


class BranchSampler:
    """Draws every epoch's structures, in the order in which they are cut into batches.

    A branch hands out its structures pass after pass, each pass in a new order, and goes on where
    the last epoch ended: with a small share no structure is left out, with a large one none comes
    twice before all came once. Within an epoch the branches are spread evenly, so every batch is a
    mixture. All of it follows from the seed and the epoch, so the place to resume from is the
    number of batches done.

    Args:
        data: S structures of B branches.
        branch_weights: weight of each branch, (B,).
        config: shares and sizes.
    """

    def __init__(
        self,
        data: Census,
        *,
        branch_weights: Sequence[float],
        config: SamplerConfig,
    ) -> None:
        self.data = data
        self.config = config
        self._members = [np.nonzero(data.branch_index == b)[0] for b in range(len(branch_weights))]
        sizes = np.array([len(members) for members in self._members])
        shares = np.where(sizes > 0, np.asarray(branch_weights) * sizes**config.alpha, 0.0)
        self._counts = _apportioned(shares / shares.sum(), len(data))

    def draws(self, epoch: int) -> np.ndarray:
        """Indices of the structures of an epoch, as many as there are, in order, (S,)."""
        rng = np.random.default_rng([self.config.seed, _INTERLEAVING, epoch])
        drawn = [
            self._drawn(branch, epoch * count, (epoch + 1) * count)
            for branch, count in enumerate(self._counts)
            if count
        ]
        places = [(np.arange(len(each)) + rng.random(len(each))) / len(each) for each in drawn]
        return np.concatenate(drawn)[np.argsort(np.concatenate(places), kind="stable")]

    def _drawn(self, branch: int, start: int, stop: int) -> np.ndarray:
        """Structures number `start` to `stop` of a branch's endless row of passes."""
        members = self._members[branch]
        first, last = start // len(members), (stop - 1) // len(members)
        passes = [
            np.random.default_rng([self.config.seed, _PASS, branch, n]).permutation(members)
            for n in range(first, last + 1)
        ]
        skipped = first * len(members)
        return np.concatenate(passes)[start - skipped : stop - skipped]


def prefetch(data: TrainingSet, batches: Iterable[np.ndarray]) -> Iterator[AtomicGraph | None]:
    """Graphs of batches in order, made a little ahead by a thread, so that no step waits for them.

    A batch without structures is None.

    Raises:
        ValueError: a batch cannot be made; raised where its graph would have come.
    """
    waiting: deque[Future[AtomicGraph | None]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(data.graph, batch))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _apportioned(shares: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers nearest to the shares of a total, by largest remainders."""
    exact = shares * total
    whole = np.floor(exact).astype(np.int64)
    largest = np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]
    whole[largest] += 1
    return whole


def _compact(edges: Edges) -> Edges:
    """The same list in half the memory: int32 atoms, int8 images where they fit."""
    reach = int(np.abs(edges.cell_shifts).max(initial=0))
    return Edges(
        senders=edges.senders.astype(np.int32),
        receivers=edges.receivers.astype(np.int32),
        cell_shifts=edges.cell_shifts.astype(np.int8 if reach < 128 else np.int32),
    )


def _widened(edges: Edges) -> Edges:
    return Edges(
        senders=edges.senders.astype(np.int64),
        receivers=edges.receivers.astype(np.int64),
        cell_shifts=edges.cell_shifts.astype(np.int64),
    )

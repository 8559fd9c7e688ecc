"""Which structures a step sees: every branch in its share, in batches of bounded size."""

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Self

import numpy as np

from hydracalc.errors import unknown
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.neighbor_cache import NeighborCache
from hydracalc.shards.table import from_structures
from hydracalc.structure import AtomicStructure
from hydracalc.training.structure_set import Census, InMemory, StructureSet

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


@dataclass(frozen=True, kw_only=True)
class BranchShare:
    """How much a branch counts.

    Attributes:
        weight: of its labels in the loss.
        share: factor on how often its structures are drawn.
        parts: structures of each part of it, in their order, and the factor on how often these are
            drawn within the branch's share; none is all alike.
    """

    weight: float = 1.0
    share: float = 1.0
    parts: tuple[tuple[int, float], ...] = ()


class TrainingSet(StructureSet):
    """A set of structures that are at hand, all their neighbor lists kept.

    Args:
        structures: at least one.
        branch_names: the model's branches; a structure of another is refused.
        cutoff: Angstrom.

    Raises:
        ValueError: there is no structure, or one has an unknown branch.
    """

    def __init__(
        self, structures: Sequence[AtomicStructure], *, branch_names: Sequence[str], cutoff: float
    ) -> None:
        numbers: dict[str, list[int]] = {}
        for number, structure in enumerate(structures):
            if structure.branch not in branch_names:
                message = unknown("branch", structure.branch, branch_names)
                raise ValueError(f"structure {structure.source}: {message}")
            numbers.setdefault(structure.branch, []).append(number)
        super().__init__(
            [
                InMemory(from_structures(branch, [structures[n] for n in own], [0] * len(own)))
                for branch, own in numbers.items()
            ],
            branch_names=branch_names,
            neighbors=NeighborCache(cutoff, math.inf),
            has_stress=any(s.stress is not None for s in structures),
            rows=np.argsort([n for own in numbers.values() for n in own]),
        )


class BranchSampler:
    """Draws every epoch's structures, in the order in which they are cut into batches.

    A branch, or each part of it, hands out its structures pass after pass, each pass in a new
    order, and goes on where the last epoch ended: with a small share no structure is left out, with
    a large one none comes twice before all came once. Within an epoch they are spread evenly, so
    every batch is a mixture. All of it follows from the seed and the epoch, so the place to resume
    from is the number of batches done.

    Args:
        data: S structures of B branches.
        branches: share of each branch and of its parts, (B,).
        config: shares and sizes.

    Raises:
        ValueError: the parts of a branch have another number of structures than it has.
    """

    def __init__(
        self,
        data: Census,
        *,
        branches: Sequence[BranchShare],
        config: SamplerConfig,
    ) -> None:
        self.data = data
        self.config = config
        streams = [
            stream
            for number, branch in enumerate(branches)
            for stream in _streams(np.nonzero(data.branch_index == number)[0], branch, config.alpha)
        ]
        self._members = [members for members, _ in streams]
        shares = np.array([share for _, share in streams])
        self._counts = _apportioned(shares / shares.sum(), len(data))

    def draws(self, epoch: int) -> np.ndarray:
        """Indices of the structures of an epoch, as many as there are, in order, (S,)."""
        rng = np.random.default_rng([self.config.seed, _INTERLEAVING, epoch])
        drawn = [
            self._drawn(stream, epoch * count, (epoch + 1) * count)
            for stream, count in enumerate(self._counts)
            if count
        ]
        places = [(np.arange(len(each)) + rng.random(len(each))) / len(each) for each in drawn]
        return np.concatenate(drawn)[np.argsort(np.concatenate(places), kind="stable")]

    def _drawn(self, stream: int, start: int, stop: int) -> np.ndarray:
        """Structures number `start` to `stop` of a stream's endless row of passes."""
        members = self._members[stream]
        first, last = start // len(members), (stop - 1) // len(members)
        passes = [
            np.random.default_rng([self.config.seed, _PASS, stream, n]).permutation(members)
            for n in range(first, last + 1)
        ]
        skipped = first * len(members)
        return np.concatenate(passes)[start - skipped : stop - skipped]


class Prefetch:
    """Graphs of batches in order, made a little ahead by a thread, so that no step waits for them.

    While it is open only its thread asks the stores: of MPI, too. A batch without structures is
    None.

    Args:
        data: to draw from.
        batches: indices of structures.

    Attributes:
        waited: seconds that graphs were waited for so far.
    """

    def __init__(self, data: StructureSet, batches: Iterable[np.ndarray]) -> None:
        self.waited = 0.0
        self._data = data
        self._batches = iter(batches)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._waiting: deque[Future[AtomicGraph | None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the graph that is being made, and leave the rest."""
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AtomicGraph | None:
        """The next graph.

        Raises:
            ValueError: it cannot be made.
        """
        for batch in islice(self._batches, _AHEAD + 1 - len(self._waiting)):
            self._waiting.append(self._pool.submit(self._data.graph, batch))
        if not self._waiting:
            raise StopIteration
        begun = time.perf_counter()
        graph = self._waiting.popleft().result()
        self.waited += time.perf_counter() - begun
        return graph


def prefetch(data: StructureSet, batches: Iterable[np.ndarray]) -> Iterator[AtomicGraph | None]:
    """What `Prefetch` gives, for a loop that does not end early."""
    with Prefetch(data, batches) as graphs:
        yield from graphs


def _streams(
    members: np.ndarray, branch: BranchShare, alpha: float
) -> list[tuple[np.ndarray, float]]:
    """Structures of each part of a branch, and the part's share.

    Raises:
        ValueError: the parts have another number of structures.
    """
    if not len(members):
        return []
    parts = branch.parts or ((len(members), 1.0),)
    sizes, factors = (np.array(column) for column in zip(*parts, strict=True))
    if sizes.sum() != len(members):
        raise ValueError(
            f"parts of a branch have {sizes.tolist()} structures, together not its {len(members)}"
        )
    whole = branch.share * len(members) ** alpha
    shares = whole * sizes * factors / (sizes * factors).sum()
    found = np.split(members, np.cumsum(sizes)[:-1])
    return [(own, float(share)) for own, share in zip(found, shares, strict=True) if len(own)]


def _apportioned(shares: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers nearest to the shares of a total, by largest remainders."""
    exact = shares * total
    whole = np.floor(exact).astype(np.int64)
    largest = np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]
    whole[largest] += 1
    return whole

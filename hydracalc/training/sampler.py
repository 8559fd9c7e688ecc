"""Which structures a step sees: every branch in its share, in batches of bounded size."""

from dataclasses import dataclass

import numpy as np

from hydracalc.graphs.batches import budget_batches

# what a random stream is for, part of its seed
_PASS_ORDER = 1
_INTERLEAVING = 2


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Shares of the branches and sizes of the batches.

    Attributes:
        alpha: a branch of n structures gets a share ~ n^alpha of each epoch: 1 takes data as it
            comes, 0 all branches equally.
        max_atoms: atoms in a batch; None is no limit.
        max_edges: edges in a batch; None is no limit.
        epoch_size: structures of one epoch; None is as many as there are.
        cache_gb: memory for neighbor lists, which are computed once, 10^9 bytes; lists beyond that
            are computed whenever they are needed.
    """

    alpha: float = 0.5
    max_atoms: int | None = 640
    max_edges: int | None = 16000
    epoch_size: int | None = None
    cache_gb: float = 4.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}, expected 0 <= alpha <= 1")
        for name in ("max_atoms", "max_edges", "epoch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        if self.max_atoms is None and self.max_edges is None:
            raise ValueError("max_atoms or max_edges is needed: a batch must have some limit")


class BranchSampler:
    """Draws every epoch's structures and cuts them into batches.

    A branch hands out its structures pass after pass, each pass in a new order, and goes on where
    the last epoch ended: with a small share no structure is left out, with a large one none comes
    twice before all came once. Within an epoch the branches are spread evenly, so every batch is a
    mixture. All of it follows from the seed and the epoch, so there is nothing to save but the
    number of batches done.

    Args:
        branch_of: branch of each structure, (S,).
        num_atoms: atoms of each structure, (S,).
        num_edges: edges of each structure, (S,); needed with `max_edges`.
        config: shares and sizes.
        seed: of all orders.

    Raises:
        ValueError: a branch has no structure.
    """

    def __init__(
        self,
        branch_of: np.ndarray,
        num_atoms: np.ndarray,
        num_edges: np.ndarray | None,
        *,
        config: SamplerConfig,
        seed: int,
    ) -> None:
        self.config = config
        self.seed = seed
        self.num_atoms = num_atoms
        self.num_edges = num_edges
        members = [np.nonzero(branch_of == b)[0] for b in range(int(branch_of.max(initial=0)) + 1)]
        empty = [b for b, indices in enumerate(members) if not len(indices)]
        if empty:
            raise ValueError(f"branches {empty} have no structure to train on")
        self.members = members
        sizes = np.array([len(indices) for indices in members])
        self.shares = sizes**config.alpha / np.sum(sizes**config.alpha)  # (B,)
        self.draws = _apportioned(self.shares, config.epoch_size or int(sizes.sum()))  # (B,)

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the structures of an epoch in the order they are taken."""
        rng = np.random.default_rng([self.seed, _INTERLEAVING, epoch])
        drawn, places = [], []
        for branch, count in enumerate(self.draws):
            drawn.append(self._drawn(branch, epoch * count, (epoch + 1) * count))
            places.append((np.arange(count) + rng.random(count)) / count)
        return np.concatenate(drawn)[np.argsort(np.concatenate(places), kind="stable")]

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Indices of the structures of every batch of an epoch."""
        return budget_batches(
            self.num_atoms,
            self.num_edges,
            max_atoms=self.config.max_atoms,
            max_edges=self.config.max_edges,
            order=self.order(epoch),
        )

    def _drawn(self, branch: int, start: int, stop: int) -> np.ndarray:
        """Structures number `start` to `stop` of a branch's endless sequence of passes."""
        members = self.members[branch]
        size = len(members)
        first, last = start // size, (stop - 1) // size
        passes = [
            members[np.random.default_rng([self.seed, _PASS_ORDER, branch, n]).permutation(size)]
            for n in range(first, last + 1)
        ]
        return np.concatenate(passes)[start - first * size : stop - first * size]


def _apportioned(shares: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers nearest to shares of a total, at least 1 each [largest remainders]."""
    exact = shares * total
    whole = np.floor(exact).astype(np.int64)
    largest = np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]
    whole[largest] += 1
    return np.maximum(whole, 1)

"""Which rank trains which branches, and the sums that ranks take together.

The encoder is on every rank. Ranks form groups; a group holds some branches, and its ranks share
their structures. Gradients of the encoder are summed over the world, those of a branch over its
group [arXiv:2506.21788, section 4].
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from hydracalc.errors import unknown

LAYOUTS = ("base", "multitask", "hybrid")
# gradients are summed in pieces of so many bytes, several on their way at once
_BUCKET_BYTES = 25 * 2**20


@dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """How branches are laid out over ranks.

    Attributes:
        layout: "base" has every branch on every rank, "multitask" one branch on each, "hybrid"
            several branches in each of some groups of ranks.
        num_groups: of "hybrid"; 0 makes as many as there are ranks, branches permitting.

    Raises:
        ValueError: there is no such layout, or a number of groups where it means nothing.
    """

    layout: Literal["base", "multitask", "hybrid"] = "base"
    num_groups: int = 0

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(unknown("layout", self.layout, LAYOUTS))
        if self.num_groups < 0 or (self.num_groups and self.layout != "hybrid"):
            raise ValueError(
                f"num_groups is {self.num_groups} with layout {self.layout!r}; "
                "expected 0, or a positive number with 'hybrid'"
            )


@dataclass(frozen=True, kw_only=True)
class Group:
    """Ranks that hold the same branches.

    Attributes:
        branches: their indices in the recipe.
        ranks: ascending, consecutive.
    """

    branches: tuple[int, ...]
    ranks: tuple[int, ...]


def lay_out(sizes: Sequence[float], num_ranks: int, config: MeshConfig) -> tuple[Group, ...]:
    """Groups of branches and ranks; a group with more data has more ranks.

    Args:
        sizes: work of each branch in an epoch, in any unit, (B,).
        num_ranks: R.
        config: which layout.

    Raises:
        ValueError: there are fewer ranks than groups, or fewer branches.
    """
    branches = list(range(len(sizes)))
    if config.layout == "base":
        return (Group(branches=tuple(branches), ranks=tuple(range(num_ranks))),)
    number = len(sizes) if config.layout == "multitask" else config.num_groups
    number = number or min(len(sizes), num_ranks)
    if number > num_ranks or number > len(sizes):
        raise ValueError(
            f"layout {config.layout!r} makes {number} groups of {len(sizes)} branches, but there "
            f"are {num_ranks} ranks; use 'hybrid' with at most {min(len(sizes), num_ranks)} groups"
        )
    members: list[list[int]] = [[] for _ in range(number)]
    loads = [0.0] * number
    for branch in sorted(branches, key=lambda b: (-sizes[b], b)):
        # the least filled; empty ones first, so that no group is left without a branch
        lightest = min(range(number), key=lambda g: (bool(members[g]), loads[g], g))
        members[lightest].append(branch)
        loads[lightest] += sizes[branch]
    counts = shared_out(loads, num_ranks)
    firsts = np.concatenate([[0], np.cumsum(counts)])
    return tuple(
        Group(branches=tuple(sorted(group)), ranks=tuple(range(firsts[g], firsts[g + 1])))
        for g, group in enumerate(members)
    )


def shared_out(loads: Sequence[float], total: int) -> list[int]:
    """Whole numbers in proportion to the loads, each at least 1, by largest remainders.

    Args:
        loads: not negative.
        total: their sum; at least one for each.
    """
    weights = np.asarray(loads, dtype=np.float64)
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(loads), 1 / len(loads))
    spare = total - len(loads)
    exact = np.maximum(weights * total - 1, 0)
    exact = exact * spare / exact.sum() if exact.sum() > 0 else weights * spare
    whole = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(whole - exact, kind="stable")[: spare - int(whole.sum())]
    whole[order] += 1
    return [int(n) + 1 for n in whole]


class BranchMesh:
    """This rank's place among the others.

    With one rank nothing is communicated and torch.distributed need not have been started.

    Attributes:
        groups: of all ranks.
        rank, size: of the world.
        group: this rank's.
        waited: seconds spent in sums so far.
    """

    def __init__(self, groups: Sequence[Group], *, timeout: float | None = None) -> None:
        """Collective over the world.

        Args:
            groups: as `lay_out` makes them, for as many ranks as there are.
            timeout: seconds after which a sum that a peer does not join ends the job.

        Raises:
            ValueError: the groups have another number of ranks than were started.
        """
        self.groups = tuple(groups)
        is_started = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if is_started else 0
        self.size = dist.get_world_size() if is_started else 1
        ranks = [rank for group in self.groups for rank in group.ranks]
        if ranks != list(range(self.size)):
            raise ValueError(f"groups have ranks {ranks}, but {self.size} were started")
        (self.group,) = (group for group in self.groups if self.rank in group.ranks)
        self.waited = 0.0
        self._of_group: dist.ProcessGroup | None = None
        if len(self.groups) > 1:
            limit = None if timeout is None else timedelta(seconds=timeout)
            for group in self.groups:  # every rank takes part in making every group
                made = dist.new_group(list(group.ranks), timeout=limit)
                if group is self.group:
                    self._of_group = made

    @property
    def is_root(self) -> bool:
        """Whether this rank writes files and speaks; there is exactly one."""
        return self.rank == 0

    @property
    def is_first(self) -> bool:
        """Whether this rank is the first of its group."""
        return self.rank == self.group.ranks[0]

    def sum_over_world(self, tensors: Sequence[Tensor]) -> None:
        """Sum tensors over all ranks, in place. Collective over the world."""
        if self.size > 1:
            self._sum(tensors, None)

    def sum_over_group(self, tensors: Sequence[Tensor]) -> None:
        """Sum tensors over the ranks of this group, in place. Collective over the group."""
        if len(self.group.ranks) > 1:
            self._sum(tensors, self._of_group)

    def _sum(self, tensors: Sequence[Tensor], group: "dist.ProcessGroup | None") -> None:
        begun = time.perf_counter()
        _sum(tensors, group)
        self.waited += time.perf_counter() - begun

    def gather(self, value: Any) -> list[Any] | None:  # noqa: ANN401  # any object
        """Values of all ranks on the root, None elsewhere. Collective over the world."""
        if self.size == 1:
            return [value]
        gathered: list[Any] | None = [None] * self.size if self.is_root else None
        dist.gather_object(value, gathered)
        return gathered

    def share(self, value: Any) -> Any:  # noqa: ANN401  # any object
        """The root's value on all ranks. Collective over the world."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def all_gather(self, value: Any) -> list[Any]:  # noqa: ANN401  # any object
        """Values of all ranks on all ranks. Collective over the world."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered


def alone(num_branches: int) -> BranchMesh:
    """The mesh of one process that has every branch."""
    return BranchMesh([Group(branches=tuple(range(num_branches)), ranks=(0,))])


def _sum(tensors: Sequence[Tensor], group: "dist.ProcessGroup | None") -> None:
    """Flatten tensors of one type into buckets, sum these, put the sums back."""
    work = []
    for bucket in _buckets(tensors):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        work.append((bucket, flat, dist.all_reduce(flat, group=group, async_op=True)))
    for bucket, flat, handle in work:
        handle.wait()
        parts = flat.split([tensor.numel() for tensor in bucket])
        for tensor, part in zip(bucket, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Neighboring tensors of one type, up to the size of a bucket together."""
    buckets: list[list[Tensor]] = []
    filled = 0
    for tensor in tensors:
        is_new = not buckets or buckets[-1][0].dtype != tensor.dtype or filled >= _BUCKET_BYTES
        if is_new:
            buckets.append([])
            filled = 0
        buckets[-1].append(tensor)
        filled += tensor.numel() * tensor.element_size()
    return buckets

"""Which rank trains which branches, and the sums that ranks take together.

The encoder is on every rank. Ranks form groups; a group holds some branches, and its ranks share
their structures. Gradients of the encoder are summed over the world, those of a branch over its
group [arXiv:2506.21788, section 4].
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import torch.distributed as dist
from torch import Tensor

from hydracalc.errors import unknown

# a sum under way; None where a single rank has it already
Sum = dist.Work | None

LAYOUTS = ("base", "multitask", "hybrid")


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

    Groups of one size are rows of torch's device mesh, whose dimensions are "group" and "replica";
    groups of several sizes are process groups made one by one. Sums are the same in both.

    Attributes:
        groups: of all ranks.
        rank, size: of the world.
        group: this rank's.
        overlap: whether gradients are summed while others are computed.
        device_mesh: torch's, where there are several groups of one size; else None.
        waited: seconds spent in sums so far.
    """

    def __init__(
        self, groups: Sequence[Group], *, overlap: bool = True, timeout: float | None = None
    ) -> None:
        """Collective over the world.

        Args:
            groups: as `lay_out` makes them, for as many ranks as there are.
            overlap: let sums of gradients begin during the backward pass.
            timeout: seconds after which a sum that a peer does not join ends the job.

        Raises:
            ValueError: the groups have another number of ranks than were started.
        """
        self.groups = tuple(groups)
        self.overlap = overlap
        is_started = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if is_started else 0
        self.size = dist.get_world_size() if is_started else 1
        ranks = [rank for group in self.groups for rank in group.ranks]
        if ranks != list(range(self.size)):
            raise ValueError(f"groups have ranks {ranks}, but {self.size} were started")
        (self.group,) = (group for group in self.groups if self.rank in group.ranks)
        self.waited = 0.0
        self.device_mesh: dist.DeviceMesh | None = None
        self._of_group: dist.ProcessGroup | None = None
        self._timeout = None if timeout is None else timedelta(seconds=timeout)
        if len(self.groups) > 1 and len({len(group.ranks) for group in self.groups}) == 1:
            self.device_mesh = _even_mesh(self.groups)
            self._of_group = self.device_mesh.get_group("replica")
        elif len(self.groups) > 1:
            for group in self.groups:  # every rank takes part in making every group
                made = dist.new_group(list(group.ranks))
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

    def sum_over_world(self, tensor: Tensor) -> None:
        """Sum a tensor over all ranks, in place. Collective over the world."""
        self.wait_for([self.begin_sum_over_world(tensor)])

    def sum_over_group(self, tensor: Tensor) -> None:
        """Sum a tensor over the ranks of this group, in place. Collective over the group."""
        self.wait_for([self.begin_sum_over_group(tensor)])

    def begin_sum_over_world(self, tensor: Tensor) -> Sum:
        """Let a sum over all ranks begin; the tensor is left alone until it was waited for.

        Collective over the world: all ranks begin their sums in the same order.
        """
        if self.size == 1:
            return None
        return dist.all_reduce(tensor, async_op=True)

    def begin_sum_over_group(self, tensor: Tensor) -> Sum:
        """The same over the ranks of this group. Collective over the group."""
        if len(self.group.ranks) == 1:
            return None
        return dist.all_reduce(tensor, group=self._of_group, async_op=True)

    def wait_for(self, sums: Iterable[Sum]) -> None:
        """Wait until sums are there."""
        begun = time.perf_counter()
        for each in sums:
            if each is not None:
                each.wait() if self._timeout is None else each.wait(self._timeout)
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


def _even_mesh(groups: Sequence[Group]) -> dist.DeviceMesh:
    """Torch's mesh of groups of one size, a group a row. Collective over the world."""
    # Process groups take the backends of the world whatever type of device is named; with that of
    # an accelerator torch would choose one for this process anew.
    shape = (len(groups), len(groups[0].ranks))
    return dist.init_device_mesh("cpu", shape, mesh_dim_names=("group", "replica"))

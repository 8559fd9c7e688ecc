"""Gradients that are summed over ranks in large pieces, on their way while others are computed.

A bucket holds the gradients of some parameters side by side, and is sent as soon as all of them are
complete. What is in a bucket is fixed when they are made, and all ranks send them in one order, so
a rank whose structures leave a parameter alone, or that has no structures, sends zeros.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from torch import Tensor
from torch.nn import Parameter

from hydracalc.parallel.mesh import BranchMesh, Sum

# sent at once, at least
BUCKET_BYTES = 4 * 2**20


class Bucket:
    """Gradients of some parameters of one type, side by side.

    Args:
        parameters: their gradients become views of this bucket.
        begin_sum: lets the sum over the ranks that hold these parameters begin.
    """

    def __init__(self, parameters: Sequence[Parameter], begin_sum: Callable[[Tensor], Sum]) -> None:
        self.parameters = list(parameters)
        flat = parameters[0].new_zeros(sum(p.numel() for p in parameters))
        parts = flat.split([p.numel() for p in parameters])
        self._flat = flat
        self._parts = {p: part.view_as(p) for p, part in zip(parameters, parts, strict=True)}
        self._begin_sum = begin_sum
        self._missing = set(self.parameters)

    @property
    def missing(self) -> frozenset[Parameter]:
        """Parameters whose gradients are not there yet."""
        return frozenset(self._missing)

    def take(self, parameters: Iterable[Parameter]) -> None:
        """Move gradients in here."""
        for parameter in parameters:
            part = self._parts[parameter]
            part.copy_(cast(Tensor, parameter.grad))
            parameter.grad = part
            self._missing.discard(parameter)

    def send(self) -> Sum:
        """Let the sum begin; gradients that are not there are zero. Collective."""
        for parameter in self._missing:
            parameter.grad = self._parts[parameter].zero_()
        self._missing = set(self.parameters)
        return self._begin_sum(self._flat)


class GradientBuckets:
    """Sums of gradients over ranks, begun during the backward pass.

    With one rank there is nothing to sum, and gradients are left as they are.

    Args:
        mesh: this rank among the others; by its `overlap` sums begin during the backward pass, else
            after it.
        of_world: parameters that all ranks hold, in the order of their use, in the type and on the
            device that they are trained in.
        of_group: parameters that the ranks of a group hold.
    """

    def __init__(
        self, mesh: BranchMesh, of_world: Sequence[Parameter], of_group: Sequence[Parameter]
    ) -> None:
        self._mesh = mesh
        self._inputs = [*of_world, *of_group]
        # heads come first in the backward pass, and the last layer before the first
        self._buckets: list[Bucket] = []
        if len(mesh.group.ranks) > 1:
            self._buckets += _buckets(of_group[::-1], mesh.begin_sum_over_group)
        if mesh.size > 1:
            self._buckets += _buckets(of_world[::-1], mesh.begin_sum_over_world)
        self._of = {p: bucket for bucket in self._buckets for p in bucket.parameters}
        self._order = list(self._buckets)
        self._waiting: deque[Bucket] = deque()
        self._sums: list[Sum] = []

    def backward(self, value: Tensor) -> set[Parameter]:
        """Gradients of this rank's part of the objective, with their sums begun.

        Collective over the world: a rank without structures takes part.

        Args:
            value: (); one that depends on no parameter has no gradients.

        Returns:
            the parameters that have a gradient on this rank.
        """
        self._waiting, self._sums = deque(self._order), []
        # Hooks are there for this pass alone: none is called when forces are derived, or when
        # someone else goes backward.
        watched = list(self._of) if self._mesh.overlap else []
        hooks = [p.register_post_accumulate_grad_hook(self._arrive) for p in watched]
        try:
            if value.requires_grad:
                # positions need no gradient of the loss: what leads to them alone is left out
                value.backward(inputs=self._inputs)
        finally:
            for hook in hooks:
                hook.remove()
        touched = {p for p in self._inputs if p.grad is not None}
        for bucket in self._waiting:
            bucket.take(p for p in bucket.missing if p in touched)
            self._sums.append(bucket.send())
        return touched

    def finish(self) -> None:
        """Wait for the sums: every gradient that ranks share is there, and may be zero.

        Collective over the world.
        """
        self._mesh.wait_for(self._sums)
        self._sums = []

    def delay(self, untouched: set[Parameter]) -> None:
        """From now on send buckets with parameters that no rank touched after all others.

        Such a bucket is complete at the end of the backward pass only, and would keep those behind
        it until then. What is in a bucket stays: sums do not depend on what was before.

        Args:
            untouched: the same on all ranks.
        """
        self._order.sort(key=lambda bucket: not untouched.isdisjoint(bucket.parameters))

    def _arrive(self, parameter: Tensor) -> None:
        """Called by autograd when a gradient is complete."""
        assert isinstance(parameter, Parameter)
        self._of[parameter].take([parameter])
        while self._waiting and not self._waiting[0].missing:
            self._sums.append(self._waiting.popleft().send())


def _buckets(parameters: Sequence[Parameter], begin_sum: Callable[[Tensor], Sum]) -> list[Bucket]:
    """Neighboring parameters of one type, until a bucket is full."""
    lots: list[list[Parameter]] = []
    filled = 0
    for parameter in parameters:
        if not lots or lots[-1][0].dtype != parameter.dtype or filled >= BUCKET_BYTES:
            lots.append([])
            filled = 0
        lots[-1].append(parameter)
        filled += parameter.numel() * parameter.element_size()
    return [Bucket(lot, begin_sum) for lot in lots]

"""PaiNN's sum over neighbors, with its first and second derivatives written out.

Left to autograd, a dozen arrays of the size of all edges would be made and kept. Here every
derivative passes over the edges once, in blocks that stay in the processor's cache, and keeps only
its inputs.

For an edge from receiver i to sender j with gates a_j (N, 3C), filter W (E, 3C), direction d (E,
3) and vectors v_j (N, 3, C), the product p = a_j * W has three parts p1, p2, p3 and

    shift_i = sum_j p1             turn_i[x] = sum_j p2 d[x] + p3 v_j[x]

In the derivatives, g = (gradient of the sums with respect to p) and t = the gradient arriving at
turn_i.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# edges of one block: 64 channels make it about 2 MB, measured fastest from 512 to 2048
_BLOCK = 1024


def sum_messages(
    gates: Tensor,
    filters: Tensor,
    directions: Tensor,
    vectors: Tensor | None,
    edges: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Sum the messages arriving at each atom; differentiable twice.

    Args:
        gates: what each atom sends, (N, 3C).
        filters: what distance lets through, (E, 3C).
        directions: from receiver to sender, (E, 3).
        vectors: equivariant features, (N, 3, C); None where they are zero.
        edges: senders and receivers, each (E,).

    Returns:
        increments of the scalars, (N, C), and of the vectors, (N, 3, C).
    """
    return _SumMessages.apply(gates, filters, directions, vectors, *edges)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, count, _BLOCK))


def _parts(channels: int) -> tuple[slice, slice, slice]:
    """Where p1, p2 and p3 lie among the 3C channels of a product."""
    return (
        slice(0, channels),
        slice(channels, 2 * channels),
        slice(2 * channels, 3 * channels),
    )


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Sum over the three directions, (e, 3, C) and (e, 3, C or 1) to (e, C)."""
    return (left * right).sum(dim=1)


class _SumMessages(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        gates, filters, directions, vectors, senders, receivers = inputs
        ctx.save_for_backward(*inputs)
        num_atoms, channels = gates.shape[0], gates.shape[1] // 3
        first, second, third = _parts(channels)
        shift = gates.new_zeros(num_atoms, channels)
        turn = gates.new_zeros(num_atoms, 3, channels)
        for block in _blocks(len(senders)):
            j, i = senders[block], receivers[block]
            p = gates.index_select(0, j).mul_(filters[block])
            moved = p[:, None, second] * directions[block, :, None]
            if vectors is not None:
                moved.addcmul_(p[:, None, third], vectors.index_select(0, j))
            shift.index_add_(0, i, p[:, first])
            turn.index_add_(0, i, moved)
        return shift, turn

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return *_SumMessagesBackward.apply(*ctx.saved_tensors, *gradients), None, None


class _SumMessagesBackward(torch.autograd.Function):
    """Gradients of gates, filters, directions and vectors, as a function of the same inputs."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        gates, filters, directions, vectors, senders, receivers, of_shift, of_turn = inputs
        ctx.save_for_backward(*inputs)
        _, second, third = _parts(of_shift.shape[1])
        to_gates, to_filters = torch.zeros_like(gates), torch.empty_like(filters)
        to_directions = torch.empty_like(directions)
        to_vectors = None if vectors is None else torch.zeros_like(vectors)
        for block in _blocks(len(senders)):
            j, i = senders[block], receivers[block]
            a, w = gates.index_select(0, j), filters[block]
            t = of_turn.index_select(0, i)
            v = None if vectors is None else vectors.index_select(0, j)
            g = _slopes(of_shift.index_select(0, i), t, directions[block, :, None], v)
            torch.mul(g, a, out=to_filters[block])
            to_directions[block] = (t * (a[:, second] * w[:, second])[:, None]).sum(dim=2)
            if to_vectors is not None:
                to_vectors.index_add_(0, j, t * (a[:, third] * w[:, third])[:, None])
            to_gates.index_add_(0, j, g.mul_(w))
        return to_gates, to_filters, to_directions, to_vectors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients h of the four outputs above, carried back to all eight inputs.

        With q = h_gates * W + h_filters * a_j, every output enters as p does in the forward sums.
        """
        gates, filters, directions, vectors, senders, receivers, of_shift, of_turn = (
            ctx.saved_tensors
        )
        h_gates, h_filters, h_directions, h_vectors = gradients
        first, second, third = _parts(of_shift.shape[1])
        to_gates, to_filters = torch.zeros_like(gates), torch.empty_like(filters)
        to_directions = torch.empty_like(directions)
        to_vectors = None if vectors is None else torch.zeros_like(vectors)
        to_shift, to_turn = torch.zeros_like(of_shift), torch.zeros_like(of_turn)
        for block in _blocks(len(senders)):
            j, i = senders[block], receivers[block]
            a, w, hw = gates.index_select(0, j), filters[block], h_filters[block]
            ha, hd = h_gates.index_select(0, j), h_directions[block, :, None]
            d, t = directions[block, :, None], of_turn.index_select(0, i)
            p, q = a * w, (ha * w).addcmul_(hw, a)
            v = None if vectors is None else vectors.index_select(0, j)
            hv = None if vectors is None else h_vectors.index_select(0, j)
            g = _slopes(of_shift.index_select(0, i), t, d, v)
            r = _slopes(torch.zeros_like(q[:, first]), t, hd, hv)
            bent = (q[:, None, second] * d).addcmul_(p[:, None, second], hd)
            to_directions[block] = (t * q[:, None, second]).sum(dim=2)
            if to_vectors is not None:
                bent.addcmul_(q[:, None, third], v).addcmul_(p[:, None, third], hv)
                to_vectors.index_add_(0, j, t.mul_(q[:, None, third]))
            to_shift.index_add_(0, i, q[:, first])
            to_turn.index_add_(0, i, bent)
            torch.mul(g, ha, out=to_filters[block]).addcmul_(r, a)
            to_gates.index_add_(0, j, g.mul_(hw).addcmul_(r, w))
        return to_gates, to_filters, to_directions, to_vectors, None, None, to_shift, to_turn


def _slopes(
    of_shift: Tensor, of_turn: Tensor, directions: Tensor, vectors: Tensor | None
) -> Tensor:
    """Gradient with respect to the product p of a block, (e, 3C)."""
    third = torch.zeros_like(of_shift) if vectors is None else _dot(of_turn, vectors)
    return torch.cat([of_shift, _dot(of_turn, directions), third], dim=1)

"""PaiNN's sum over neighbors and its derivatives in torch's own operations, for any device.

The formulas and their letters are those of `models.messages`. Blocks of edges keep what is made on
the way small: in the cache of a processor, within memory on an accelerator.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from hydracalc.kernels.messages import Gradients, Inputs

# pairs of one block: on a processor 64 channels make it about 2 MB; on an accelerator it only
# bounds memory, and launching a block has its price
_BLOCK = {"cpu": 512}
_LARGE_BLOCK = 1 << 18


def sum_messages(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Increments of the scalars, (N, C), and of the vectors, (N, 3, C)."""
    gates, radial, mixing, directions, vectors, senders, receivers = inputs
    num_atoms, channels = gates.shape[0], gates.shape[1] // 3
    first, second, third = _parts(channels)
    shift = gates.new_zeros(num_atoms, channels)
    turn = gates.new_zeros(num_atoms, 3, channels)
    for block in _blocks(senders):
        j, i, d = _both_ways(senders[block], receivers[block], directions[block])
        p = gates.index_select(0, j).mul_(_twice(radial[block] @ mixing))
        moved = p[:, None, second] * d
        if vectors is not None:
            moved.addcmul_(p[:, None, third], vectors.index_select(0, j))
        shift.index_add_(0, i, p[:, first])
        turn.index_add_(0, i, moved)
    return shift, turn


def first_derivatives(
    inputs: Inputs, of_shift: Tensor, of_turn: Tensor, *, has_mixing: bool
) -> Gradients:
    """Gradients of gates, radial, mixing, directions and vectors.

    Args:
        inputs: as of `sum_messages`.
        of_shift: gradient arriving at the scalars, (N, C).
        of_turn: gradient arriving at the vectors, (N, 3, C).
        has_mixing: whether that of the mixing is wanted.
    """
    gates, radial, mixing, directions, vectors, senders, receivers = inputs
    _, second, third = _parts(of_shift.shape[1])
    to_gates, to_radial = torch.zeros_like(gates), torch.empty_like(radial)
    to_mixing = torch.zeros_like(mixing) if has_mixing else None
    to_directions = torch.empty_like(directions)
    to_vectors = None if vectors is None else torch.zeros_like(vectors)
    for block in _blocks(senders):
        j, i, d = _both_ways(senders[block], receivers[block], directions[block])
        a, w = gates.index_select(0, j), _twice(radial[block] @ mixing)
        t = of_turn.index_select(0, i)
        v = None if vectors is None else vectors.index_select(0, j)
        g = _slopes(of_shift.index_select(0, i), t, d, v)
        along = (t * (a[:, second] * w[:, second])[:, None]).sum(dim=2)
        to_directions[block] = _difference(along)
        if to_vectors is not None:
            to_vectors.index_add_(0, j, t * (a[:, third] * w[:, third])[:, None])
        to_gates.index_add_(0, j, g * w)
        of_filters = _sum(g.mul_(a))
        to_radial[block] = of_filters @ mixing.T
        if to_mixing is not None:
            to_mixing.addmm_(radial[block].T, of_filters)
    return to_gates, to_radial, to_mixing, to_directions, to_vectors


def second_derivatives(
    inputs: Inputs, of_shift: Tensor, of_turn: Tensor, h: Gradients
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor]:
    """Gradients of gates, radial, mixing, directions, vectors, `of_shift` and `of_turn`.

    Args:
        inputs: as of `sum_messages`.
        of_shift: as of `first_derivatives`.
        of_turn: as of `first_derivatives`.
        h: gradients arriving at the results of `first_derivatives`; that of the mixing may be None.
    """
    gates, radial, mixing, directions, vectors, senders, receivers = inputs
    h_gates, h_radial, h_mixing, h_directions, h_vectors = h
    first, second, third = _parts(of_shift.shape[1])
    to_gates, to_radial = torch.zeros_like(gates), torch.empty_like(radial)
    to_mixing, to_directions = torch.zeros_like(mixing), torch.empty_like(directions)
    to_vectors = None if vectors is None else torch.zeros_like(vectors)
    to_shift, to_turn = torch.zeros_like(of_shift), torch.zeros_like(of_turn)
    for block in _blocks(senders):
        j, i, d = _both_ways(senders[block], receivers[block], directions[block])
        a, w, hw = gates.index_select(0, j), radial[block] @ mixing, h_radial[block] @ mixing
        if h_mixing is not None:
            hw.addmm_(radial[block], h_mixing)
        w, hw = _twice(w), _twice(hw)
        *_, hd = _both_ways(senders[block], receivers[block], h_directions[block])
        ha, t = h_gates.index_select(0, j), of_turn.index_select(0, i)
        p, q = a * w, (ha * w).addcmul_(hw, a)
        v = None if vectors is None else vectors.index_select(0, j)
        hv = None if h_vectors is None else h_vectors.index_select(0, j)
        g = _slopes(of_shift.index_select(0, i), t, d, v)
        r = _slopes(torch.zeros_like(q[:, first]), t, hd, hv)
        bent = (q[:, None, second] * d).addcmul_(p[:, None, second], hd)
        to_directions[block] = _difference((t * q[:, None, second]).sum(dim=2))
        if to_vectors is not None and v is not None and hv is not None:
            bent.addcmul_(q[:, None, third], v).addcmul_(p[:, None, third], hv)
            to_vectors.index_add_(0, j, t.mul_(q[:, None, third]))
        to_shift.index_add_(0, i, q[:, first])
        to_turn.index_add_(0, i, bent)
        to_gates.index_add_(0, j, (g * hw).addcmul_(r, w))
        of_filters, to_filters = _sum(g * a), _sum((g * ha).addcmul_(r, a))
        to_radial[block] = to_filters @ mixing.T
        if h_mixing is not None:
            to_radial[block] += of_filters @ h_mixing.T
        to_mixing.addmm_(radial[block].T, to_filters).addmm_(h_radial[block].T, of_filters)
    return to_gates, to_radial, to_mixing, to_directions, to_vectors, to_shift, to_turn


def _blocks(senders: Tensor) -> Iterator[slice]:
    size = _BLOCK.get(senders.device.type, _LARGE_BLOCK)
    return (slice(start, start + size) for start in range(0, len(senders), size))


def _both_ways(
    senders: Tensor, receivers: Tensor, directions: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Senders, receivers and directions, (2p, 3, 1), of both messages of p pairs."""
    ends = torch.cat([senders, receivers]), torch.cat([receivers, senders])
    return *ends, torch.cat([directions, -directions])[:, :, None]


def _twice(filters: Tensor) -> Tensor:
    """The filter of each of a pair's messages, (p, 3C) to (2p, 3C)."""
    return torch.cat([filters, filters])


def _sum(messages: Tensor) -> Tensor:
    """What both messages of a pair say of its filter, (2p, 3C) to (p, 3C)."""
    forth, back = messages.chunk(2)
    return forth + back


def _difference(messages: Tensor) -> Tensor:
    """What both messages of a pair say of its direction, (2p, 3) to (p, 3)."""
    forth, back = messages.chunk(2)
    return forth - back


def _parts(channels: int) -> tuple[slice, slice, slice]:
    """Where p1, p2 and p3 lie among the 3C channels of a product."""
    return (
        slice(0, channels),
        slice(channels, 2 * channels),
        slice(2 * channels, 3 * channels),
    )


def _slopes(
    of_shift: Tensor, of_turn: Tensor, directions: Tensor, vectors: Tensor | None
) -> Tensor:
    """Gradient with respect to the product p of a block, (e, 3C)."""
    third = torch.zeros_like(of_shift) if vectors is None else (of_turn * vectors).sum(dim=1)
    return torch.cat([of_shift, (of_turn * directions).sum(dim=1), third], dim=1)

"""PaiNN's sum over neighbors and its derivatives on the processor.

The same three functions as `models.message_blocks`, on tensors in the processor's memory. Filters
exist for one block of pairs at a time, which stays in the cache.
"""

from collections.abc import Iterator
from functools import partial
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hydracalc.kernels import message_loops as loops
from hydracalc.kernels import threads

# pairs of one block: at 64 channels what is made of them fits a core's own cache
_BLOCK = 1024


class Inputs(NamedTuple):
    """What messages are made of.

    Attributes:
        gates: what each atom sends, (N, 3C).
        radial: radial functions of each pair's distance, (P, K).
        mixing: filters are radial @ mixing, (K, 3C).
        directions: from receiver to sender, (P, 3); the other way for the pair's second message.
        vectors: equivariant features, (N, 3, C); None where they are zero.
        senders: one atom of each pair, (P,).
        receivers: the other, (P,).
    """

    gates: Tensor
    radial: Tensor
    mixing: Tensor
    directions: Tensor
    vectors: Tensor | None
    senders: Tensor
    receivers: Tensor


Gradients = tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor | None]
Range = tuple[int, int]


def sum_messages(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Increments of the scalars, (N, C), and of the vectors, (N, 3, C)."""
    num_atoms, channels = inputs.gates.shape[0], inputs.gates.shape[1] // 3
    shift, turn = (inputs.gates.new_zeros(num_atoms, *rest, channels) for rest in ((), (3,)))
    add_messages(inputs, shift, turn)
    return shift, turn


def add_messages(
    inputs: Inputs, scalars: Tensor, vectors: Tensor, filters: Tensor | None = None
) -> None:
    """Add the messages to scalars, (N, C), and vectors, (N, 3, C); not those they are made of.

    Args:
        inputs: as of `sum_messages`.
        scalars: added to.
        vectors: added to.
        filters: radial @ mixing, (P, 3C), where they are known; else made block by block.
    """
    parts = _shares(inputs)
    totals = [(scalars, vectors)]
    # pairs of several threads share atoms: every thread but the first adds to arrays of its own
    totals += [(torch.zeros_like(scalars), torch.zeros_like(vectors)) for _ in parts[1:]]
    threads.run([partial(_add, inputs, filters, *each) for each in zip(parts, totals, strict=True)])
    for more_scalars, more_vectors in totals[1:]:
        scalars += more_scalars
        vectors += more_vectors


def first_derivatives(
    inputs: Inputs,
    of_shift: Tensor,
    of_turn: Tensor,
    *,
    has_mixing: bool,
    filters: Tensor | None = None,
) -> Gradients:
    """Gradients of gates, radial, mixing, directions and vectors.

    Args:
        inputs: as of `sum_messages`.
        of_shift: gradient arriving at the scalars, (N, C).
        of_turn: gradient arriving at the vectors, (N, 3, C).
        has_mixing: whether that of the mixing is wanted.
        filters: as of `add_messages`.
    """
    of_sums = of_shift.contiguous(), of_turn.contiguous()
    of_pairs = torch.empty_like(inputs.radial), torch.zeros_like(inputs.directions)
    work = partial(_first, inputs, of_sums, of_pairs, filters, has_mixing)
    found = threads.run([partial(work, part) for part in _shares(inputs)])
    to_gates, to_mixing, to_vectors = map(_added, zip(*found, strict=True))
    return to_gates, of_pairs[0], to_mixing, of_pairs[1], to_vectors  # type: ignore[return-value]


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
    of_sums = of_shift.contiguous(), of_turn.contiguous()
    of_pairs = torch.empty_like(inputs.radial), torch.zeros_like(inputs.directions)
    work = partial(_second, inputs, of_sums, h, of_pairs)
    found = threads.run([partial(work, part) for part in _shares(inputs)])
    to_gates, to_mixing, to_vectors, to_shift, to_turn = map(_added, zip(*found, strict=True))
    of_edges = of_pairs[0], to_mixing, of_pairs[1]
    return to_gates, *of_edges, to_vectors, to_shift, to_turn  # type: ignore[return-value]


# what stands for vectors that are zero
_NONE = {np.dtype(name): np.empty((0, 3, 0), dtype=name) for name in ("float32", "float64")}


def _add(
    inputs: Inputs, filters: Tensor | None, part: Range, totals: tuple[Tensor, Tensor]
) -> None:
    """Add the messages of some pairs."""
    a, v = _array(inputs.gates), _array(inputs.vectors)
    v = _NONE[a.dtype] if v is None else v
    results = totals[0].numpy(), totals[1].numpy()
    for block, ends in _blocks(inputs, part):
        w = _array(inputs.radial[block] @ inputs.mixing if filters is None else filters[block])
        loops.add_messages(a, w, _array(inputs.directions[block]), v, *ends, 0, len(w), *results)


def _first(
    inputs: Inputs,
    of_sums: tuple[Tensor, Tensor],
    of_pairs: tuple[Tensor, Tensor],
    filters: Tensor | None,
    has_mixing: bool,
    part: Range,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of gates, mixing and vectors by some pairs; sets those of the pairs themselves."""
    gates, radial, mixing, directions, vectors, *_ = inputs
    a, v, s, t = map(_array, (gates, vectors, *of_sums))
    to_gates, to_vectors = torch.zeros_like(gates), _zeros(vectors)
    to_mixing = torch.zeros_like(mixing) if has_mixing else None
    of_a, of_v = to_gates.numpy(), _array(to_vectors)
    for block, ends in _blocks(inputs, part):
        w = _array(radial[block] @ mixing if filters is None else filters[block])
        of_filters = gates.new_empty(w.shape)
        of_w, of_d, pairs = of_filters.numpy(), of_pairs[1][block].numpy(), (0, len(w))
        steer = a, w, _array(directions[block]), *ends, s, t
        loops.first_of_steer(*steer, *pairs, of_a, of_w, of_d)
        if v is not None:
            loops.first_of_stretch(a, w, v, *ends, t, *pairs, of_a, of_w, of_v)
        torch.mm(of_filters, mixing.T, out=of_pairs[0][block])
        if to_mixing is not None:
            to_mixing.addmm_(radial[block].T, of_filters)
    return to_gates, to_mixing, to_vectors


def _second(
    inputs: Inputs,
    of_sums: tuple[Tensor, Tensor],
    h: Gradients,
    of_pairs: tuple[Tensor, Tensor],
    part: Range,
) -> tuple[Tensor | None, ...]:
    """Gradients of gates, mixing, vectors and `of_sums` by some pairs; sets those of the pairs."""
    gates, radial, mixing, directions, vectors, *_ = inputs
    h_gates, h_radial, h_mixing, h_directions, h_vectors = h
    a, v, s, t, ha, hv = map(_array, (gates, vectors, *of_sums, h_gates, h_vectors))
    to_gates, to_mixing, to_vectors = (_zeros(each) for each in (gates, mixing, vectors))
    to_shift, to_turn = (_zeros(each) for each in of_sums)
    of_a, of_v, of_s, of_t = map(_array, (to_gates, to_vectors, to_shift, to_turn))
    for block, ends in _blocks(inputs, part):
        w, h_filters = _array(radial[block] @ mixing), h_radial[block] @ mixing
        if h_mixing is not None:
            h_filters.addmm_(radial[block], h_mixing)
        of_filters, to_filters = gates.new_empty(w.shape), gates.new_empty(w.shape)
        hw, d, hd = map(_array, (h_filters, directions[block], h_directions[block]))
        of_w, to_w, of_d = of_filters.numpy(), to_filters.numpy(), of_pairs[1][block].numpy()
        pairs = 0, len(w)
        loops.second_of_shift(a, w, *ends, s, ha, hw, *pairs, of_a, of_w, to_w, of_s)
        steer = a, w, d, *ends, t, ha, hw, hd
        loops.second_of_steer(*steer, *pairs, of_a, of_w, to_w, of_d, of_t)
        if v is not None:
            stretch = a, w, v, *ends, t, ha, hw, hv
            loops.second_of_stretch(*stretch, *pairs, of_a, of_w, to_w, of_v, of_t)
        torch.mm(to_filters, mixing.T, out=of_pairs[0][block])
        if h_mixing is not None:
            of_pairs[0][block].addmm_(of_filters, h_mixing.T)
        to_mixing.addmm_(radial[block].T, to_filters).addmm_(h_radial[block].T, of_filters)
    return to_gates, to_mixing, to_vectors, to_shift, to_turn


def _shares(inputs: Inputs) -> list[Range]:
    return threads.shares(len(inputs.senders), inputs.gates.shape[1] // 3)


def _blocks(
    inputs: Inputs, part: Range
) -> Iterator[tuple[slice | EllipsisType, tuple[np.ndarray, np.ndarray]]]:
    """Each block of some pairs, with its senders and receivers; all pairs at once where few."""
    if part[1] - part[0] == len(inputs.senders) <= _BLOCK:
        yield ..., (inputs.senders.numpy(), inputs.receivers.numpy())
        return
    for start in range(*part, _BLOCK):
        block = slice(start, min(start + _BLOCK, part[1]))
        yield block, (inputs.senders[block].numpy(), inputs.receivers[block].numpy())


def _array(tensor: Tensor | None) -> Any:  # noqa: ANN401  # an array where there is a tensor
    if tensor is None:
        return None
    if tensor.requires_grad:
        tensor = tensor.detach()
    return (tensor if tensor.is_contiguous() else tensor.contiguous()).numpy()


def _zeros(like: Tensor | None) -> Any:  # noqa: ANN401  # as above
    return None if like is None else torch.zeros_like(like)


def _added(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    """Sum over threads, in their order."""
    if len(parts) == 1 or parts[0] is None:
        return parts[0]
    return torch.stack(parts).sum(dim=0)  # type: ignore[arg-type]

"""PaiNN's sum over neighbors and its derivatives on the processor.

The same three functions as `models.message_blocks`, on tensors in the processor's memory. Filters
exist for one block of edges at a time, which stays in the cache.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hydracalc.kernels import message_loops as loops
from hydracalc.kernels import threads

# edges of one block for each thread: at 64 channels what is made of them fits a core's own cache
_BLOCK = 1024


class Inputs(NamedTuple):
    """What messages are made of.

    Attributes:
        gates: what each atom sends, (N, 3C).
        radial: radial functions of each edge, (E, K).
        mixing: filters are radial @ mixing, (K, 3C).
        directions: from receiver to sender, (E, 3).
        vectors: equivariant features, (N, 3, C); None where they are zero.
        senders: of each edge, (E,).
        receivers: of each edge, ascending, (E,).
    """

    gates: Tensor
    radial: Tensor
    mixing: Tensor
    directions: Tensor
    vectors: Tensor | None
    senders: Tensor
    receivers: Tensor


Gradients = tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor | None]


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
        filters: radial @ mixing, (E, 3C), where they are known; else made block by block.
    """
    a, v = _array(inputs.gates), _array(inputs.vectors)
    v = _NONE[a.dtype] if v is None else v
    results = scalars.numpy(), vectors.numpy()
    for block, j, i, parts in _blocks(inputs):
        w = _array(inputs.radial[block] @ inputs.mixing if filters is None else filters[block])
        work = partial(loops.add_messages, a, w, _array(inputs.directions[block]), v, j, i)
        threads.run([partial(work, *part, *results) for part in parts])


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
    gates, radial, mixing, directions, vectors, *_ = inputs
    a, v, s, t = map(_array, (gates, vectors, of_shift, of_turn))
    # several edges share a sender: every thread adds to arrays of its own
    to_gates, to_vectors = _zeros(gates, inputs), _zeros(vectors, inputs)
    to_radial, to_directions = torch.empty_like(radial), torch.empty_like(directions)
    to_mixing = torch.zeros_like(mixing) if has_mixing else None
    made = gates.new_zeros if vectors is None else gates.new_empty
    for block, j, i, parts in _blocks(inputs):
        w = _array(radial[block] @ mixing if filters is None else filters[block])
        d, of_d = _array(directions[block]), to_directions[block].numpy()
        of_filters = made(w.shape)
        of_w = of_filters.numpy()

        def work(thread: int, part: tuple[int, int]) -> None:
            of_a = to_gates[thread].numpy()
            loops.first_of_steer(a, w, d, j, i, s, t, *part, of_a, of_w, of_d)  # noqa: B023
            if v is not None:
                of_v = to_vectors[thread].numpy()
                loops.first_of_stretch(a, w, v, j, i, t, *part, of_a, of_w, of_v)  # noqa: B023

        threads.run([partial(work, *each) for each in enumerate(parts)])
        torch.mm(of_filters, mixing.T, out=to_radial[block])
        if to_mixing is not None:
            to_mixing.addmm_(radial[block].T, of_filters)
    of_vectors = None if vectors is None else _added(to_vectors)
    return _added(to_gates), to_radial, to_mixing, to_directions, of_vectors


def second_derivatives(
    inputs: Inputs,
    of_shift: Tensor,
    of_turn: Tensor,
    h: Gradients,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor]:
    """Gradients of gates, radial, mixing, directions, vectors, `of_shift` and `of_turn`.

    Args:
        inputs: as of `sum_messages`.
        of_shift: as of `first_derivatives`.
        of_turn: as of `first_derivatives`.
        h: gradients arriving at the results of `first_derivatives`; that of the mixing may be None.
    """
    gates, radial, mixing, directions, vectors, *_ = inputs
    h_gates, h_radial, h_mixing, h_directions, h_vectors = h
    a, v, s, t = map(_array, (gates, vectors, of_shift, of_turn))
    ha, hv = _array(h_gates), _array(h_vectors)
    to_gates, to_vectors = _zeros(gates, inputs), _zeros(vectors, inputs)
    to_radial, to_mixing = torch.empty_like(radial), torch.zeros_like(mixing)
    to_directions = torch.empty_like(directions)
    to_shift, to_turn = torch.zeros_like(of_shift), torch.zeros_like(of_turn)
    of_s, of_t = to_shift.numpy(), to_turn.numpy()
    made = gates.new_zeros if vectors is None else gates.new_empty
    for block, j, i, parts in _blocks(inputs):
        w, h_filters = _array(radial[block] @ mixing), h_radial[block] @ mixing
        if h_mixing is not None:
            h_filters.addmm_(radial[block], h_mixing)
        hw, d, hd = map(_array, (h_filters, directions[block], h_directions[block]))
        of_filters, to_filters = made(w.shape), made(w.shape)
        of_w, to_w, of_d = of_filters.numpy(), to_filters.numpy(), to_directions[block].numpy()

        def work(thread: int, part: tuple[int, int]) -> None:
            of_a = to_gates[thread].numpy()
            steer = a, w, d, j, i, s, t, ha, hw, hd, *part  # noqa: B023
            loops.second_of_steer(*steer, of_a, of_w, to_w, of_d, of_s, of_t)  # noqa: B023
            if v is not None:
                stretch = a, w, v, j, i, t, ha, hw, hv, *part  # noqa: B023
                of_v = to_vectors[thread].numpy()
                loops.second_of_stretch(*stretch, of_a, of_w, to_w, of_v, of_t)  # noqa: B023

        threads.run([partial(work, *each) for each in enumerate(parts)])
        torch.mm(to_filters, mixing.T, out=to_radial[block])
        if h_mixing is not None:
            to_radial[block].addmm_(of_filters, h_mixing.T)
        to_mixing.addmm_(radial[block].T, to_filters).addmm_(h_radial[block].T, of_filters)
    of_vectors = None if vectors is None else _added(to_vectors)
    of_edges = to_radial, to_mixing, to_directions
    return _added(to_gates), *of_edges, of_vectors, to_shift, to_turn


# what stands for vectors that are zero
_NONE = {np.dtype(name): np.empty((0, 3, 0), dtype=name) for name in ("float32", "float64")}


def _blocks(
    inputs: Inputs,
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, list[tuple[int, int]]]]:
    """Each block of edges with its senders, receivers and the threads' shares."""
    num_threads, num_edges = _threads(inputs), len(inputs.senders)
    size = _BLOCK * num_threads
    for start in range(0, num_edges, size):
        block = slice(start, min(start + size, num_edges))
        j, i = inputs.senders[block].numpy(), inputs.receivers[block].numpy()
        yield block, j, i, threads.shares(i, num_threads)


def _threads(inputs: Inputs) -> int:
    return threads.count(len(inputs.senders) * inputs.gates.shape[1] // 3)


def _array(tensor: Tensor | None) -> Any:  # noqa: ANN401  # an array where there is a tensor
    if tensor is None:
        return None
    if tensor.requires_grad:
        tensor = tensor.detach()
    return (tensor if tensor.is_contiguous() else tensor.contiguous()).numpy()


def _zeros(like: Tensor | None, inputs: Inputs) -> Any:  # noqa: ANN401  # as above
    """Arrays of zeros, one for every thread."""
    return None if like is None else like.new_zeros(_threads(inputs), *like.shape)


def _added(parts: Tensor) -> Tensor:
    """Sum over threads, in their order."""
    return parts[0] if len(parts) == 1 else parts.sum(dim=0)

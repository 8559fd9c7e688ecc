"""PaiNN's update between its matrix products, with its first and second derivatives written out.

On the processor compiled loops go through the atoms once for each derivative; elsewhere, and in
what is traced, torch's own operations do, and autograd derives them.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hydracalc.kernels import threads
from hydracalc.kernels import update_loops as loops
from hydracalc.kernels.reach import readable


def measure(mixed: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Lengths and overlaps of mixed vectors; differentiable twice.

    Args:
        mixed: U v and V v side by side, (N, 3, 2C).
        floor: under the root of a length.

    Returns:
        sqrt(sum (V v)^2 + floor), (N, C), and sum (U v)(V v), (N, C).
    """
    if readable(mixed):
        return _Measure.apply(mixed, floor)
    turned, measured = mixed.chunk(2, dim=-1)
    lengths = torch.sqrt(measured.square().sum(dim=1) + floor)
    return lengths, (turned * measured).sum(dim=1)


def combine(gates: Tensor, overlap: Tensor, mixed: Tensor) -> tuple[Tensor, Tensor]:
    """Increments of scalars, (N, C), and of vectors, (N, 3, C); differentiable twice.

    Args:
        gates: (N, 3C).
        overlap: of the mixed vectors, (N, C).
        mixed: U v and V v side by side, (N, 3, 2C).
    """
    if readable(mixed):
        return _Combine.apply(gates, overlap, mixed)
    shift, product, stretch = gates.chunk(3, dim=-1)
    return shift + product * overlap, stretch[:, None, :] * mixed.chunk(2, dim=-1)[0]


class _Measure(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mixed: Tensor, floor: float) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        mixed = mixed.contiguous()
        length, overlap = _halves(mixed)
        threads.over_rows(length, partial(loops.measure, mixed.numpy(), floor), length, overlap)
        ctx.save_for_backward(mixed, length)
        return length, overlap

    @staticmethod
    def backward(ctx: Any, *of: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return _FirstOfMeasure.apply(*ctx.saved_tensors, *of), None


class _FirstOfMeasure(torch.autograd.Function):
    """The lengths are made of the mixed vectors, so no gradient goes to them by themselves."""

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:  # noqa: ANN401
        inputs = tuple(each.contiguous() for each in inputs)
        ctx.save_for_backward(*inputs)
        to_mixed = torch.zeros_like(inputs[0])
        _run(loops.first_of_measure, inputs, to_mixed)
        return to_mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        inputs = ctx.saved_tensors
        results = torch.empty_like(inputs[0]), *_halves(inputs[0])
        _run(loops.second_of_measure, (*inputs, h.contiguous()), *results)
        return results[0], None, *results[1:]


class _Combine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        inputs = tuple(each.contiguous() for each in inputs)
        ctx.save_for_backward(*inputs)
        num_atoms, channels = inputs[1].shape
        shift, turn = (inputs[1].new_zeros(num_atoms, *rest, channels) for rest in ((), (3,)))
        _run(loops.combine, inputs, shift, turn)
        return shift, turn

    @staticmethod
    def backward(ctx: Any, *of: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
        return _FirstOfCombine.apply(*ctx.saved_tensors, *of)


class _FirstOfCombine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
        inputs = tuple(each.contiguous() for each in inputs)
        ctx.save_for_backward(*inputs)
        results = tuple(torch.empty_like(each) for each in inputs[:3])
        _run(loops.first_of_combine, inputs, *results)
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *h: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
        inputs = ctx.saved_tensors
        results = tuple(torch.empty_like(each) for each in inputs)
        _run(loops.second_of_combine, (*inputs, *(each.contiguous() for each in h)), *results)
        return results


def _halves(mixed: Tensor) -> tuple[Tensor, Tensor]:
    """Two new arrays, (N, C), for mixed vectors, (N, 3, 2C)."""
    shape = mixed.shape[0], mixed.shape[2] // 2
    return mixed.new_empty(shape), mixed.new_empty(shape)


def _run(loop: Any, inputs: tuple[Tensor, ...], *results: Tensor) -> None:  # noqa: ANN401
    """Go through the atoms."""
    given = (each.detach().numpy() for each in inputs)
    threads.over_rows(results[0], partial(loop, *given), *results)

"""PaiNN's sum over neighbors, with its first and second derivatives written out.

Left to autograd, a dozen arrays of the size of all edges would be made and kept. Here every
derivative passes over the pairs once and keeps only its inputs: on the processor in compiled loops,
elsewhere in blocks of torch's own operations.

For a message to receiver i from sender j with gates a_j (N, 3C), filter w = radial @ mixing (P,
3C), direction d (P, 3) and vectors v_j (N, 3, C), the product p = a_j * w has three parts p1, p2,
p3 and

    shift_i = sum_j p1             turn_i[x] = sum_j p2 d[x] + p3 v_j[x]

The atoms of a pair are each other's neighbors: the same filter serves the message from i to j,
whose direction is -d. In the derivatives, g = (gradient of the sums with respect to p) and t = the
gradient arriving at turn_i. Gradients h of the first derivatives enter the second ones through
q = h_gates * w + h_w * a_j, as p does in the sums, and through r, which is to h as g is to
directions and vectors.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hydracalc.kernels import messages as loops
from hydracalc.kernels.messages import Inputs
from hydracalc.kernels.reach import readable
from hydracalc.models import message_blocks as blocks
from hydracalc.models import traced_ops


def sum_messages(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Sum the messages arriving at each atom; differentiable twice.

    Args:
        inputs: gates, radial functions and their mixing, directions, vectors and edges.

    Returns:
        increments of the scalars, (N, C), and of the vectors, (N, 3, C).
    """
    # sums and their filters are never made in less than float32
    with torch.autocast(inputs.gates.device.type, enabled=False):
        return _SumMessages.apply(*inputs)


def _engine(tensor: Tensor) -> ModuleType:
    """The module that does the sums where the tensor lies; a traced one lies nowhere."""
    if readable(tensor):
        return loops
    return blocks if type(tensor) is torch.Tensor else traced_ops


class _SumMessages(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        ctx.save_for_backward(*inputs)
        return _engine(inputs[0]).sum_messages(Inputs(*inputs))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        has_mixing = ctx.needs_input_grad[2]
        of_inputs = _FirstDerivatives.apply(has_mixing, *ctx.saved_tensors, *gradients)
        return *of_inputs, None, None


class _FirstDerivatives(torch.autograd.Function):
    """Gradients of all that messages are made of, as a function of the same."""

    @staticmethod
    def forward(ctx: Any, has_mixing: bool, *inputs: Any) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        ctx.save_for_backward(*inputs)
        ctx.set_materialize_grads(False)
        engine = _engine(inputs[0])
        return engine.first_derivatives(Inputs(*inputs[:7]), *inputs[7:], has_mixing=has_mixing)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *h: Any) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        given = Inputs(*ctx.saved_tensors[:7])
        zeros = [
            torch.zeros_like(x) if x is not None and gradient is None else gradient
            for x, gradient in zip(given, h, strict=False)
        ]
        zeros[2] = h[2]  # in a loss on forces nothing depends on the mixing's gradient
        of_sums = ctx.saved_tensors[7:]
        *of_inputs, of_shift, of_turn = _engine(given.gates).second_derivatives(
            given, *of_sums, tuple(zeros)
        )
        return None, *of_inputs, None, None, of_shift, of_turn

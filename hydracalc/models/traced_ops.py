"""Operations that stay whole in a traced function: torch's compiler calls them as they are.

They are what it cannot make fast, or at all, for arrays of any size: sums over rows that share a
place, and PaiNN's messages, which have loops of their own. Nothing here is differentiated: a traced
function contains its derivatives already.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from hydracalc.kernels import messages as loops
from hydracalc.kernels.messages import Gradients, Inputs
from hydracalc.models import message_blocks as blocks

_OURS = torch.library.Library("hydracalc", "DEF")
_MADE_OF = (
    "Tensor gates, Tensor radial, Tensor mixing, Tensor directions, Tensor? vectors, "
    "Tensor senders, Tensor receivers"
)
_ATEN = torch.ops.aten
_ZEROS = (_ATEN.new_zeros.default, _ATEN.zeros.default)


def sum_messages(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """As `kernels.messages.sum_messages`, whole."""
    return torch.ops.hydracalc.sum_messages.default(*inputs)


def first_derivatives(
    inputs: Inputs, of_shift: Tensor, of_turn: Tensor, *, has_mixing: bool
) -> Gradients:
    """As `kernels.messages.first_derivatives`, whole."""
    found = torch.ops.hydracalc.first_derivatives.default(*inputs, of_shift, of_turn, has_mixing)
    gates, radial, mixing, directions, vectors = found
    return (
        gates,
        radial,
        mixing if has_mixing else None,
        directions,
        None if inputs.vectors is None else vectors,
    )


def keep_sums_whole(traced: GraphModule) -> None:
    """Replace sums over rows by the operation that stays whole, in place.

    Raises:
        NotImplementedError: the function sums in a way that has no such operation.
    """
    graph = traced.graph
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target not in _WHOLE:
            continue
        with graph.inserting_before(node):
            node.replace_all_uses_with(_WHOLE[node.target](graph, node))
        graph.erase_node(node)
    graph.eliminate_dead_code()
    traced.recompile()


def _index_add(graph: Graph, node: Node) -> Node:
    base, dim, index, rows = node.args
    alpha = node.kwargs.get("alpha", 1)
    return _copied(graph, node, "add_rows", (base, dim, index, rows, alpha))


def _scatter_reduce(graph: Graph, node: Node) -> Node:
    base, dim, index, values, reduce = node.args
    include = node.kwargs.get("include_self", True)
    return _copied(graph, node, "reduce_rows", (base, dim, index, values, reduce, include))


def _index_put(graph: Graph, node: Node) -> Node:
    base, indices, values, accumulate = (*node.args, False)[:4]
    return _copied(graph, node, "put_rows", (base, indices, values, accumulate))


def _copied(graph: Graph, node: Node, name: str, args: tuple[Any, ...]) -> Node:
    """A call of one of our operations that gives what a node gives."""
    call = graph.call_function(getattr(torch.ops.hydracalc, name).default, args)
    call.meta = dict(node.meta)
    return call


# what sums over rows, and how it becomes an operation of ours
_WHOLE: dict[Any, Callable[[Graph, Node], Node]] = {
    _ATEN.index_add.default: _index_add,
    _ATEN.index_put.default: _index_put,
    _ATEN.scatter_reduce.two: _scatter_reduce,
}


# --- what the operations do, on real tensors and on tensors that only have a shape ----------------


def _engine(tensor: Tensor) -> ModuleType:
    return loops if tensor.device.type == "cpu" else blocks


def _run_sums(*given: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401  # tensors and None
    return _engine(given[0]).sum_messages(Inputs(*given))


def _shapes_of_sums(*given: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401  # as above
    gates = given[0]
    num_atoms, channels = gates.shape[0], gates.shape[1] // 3
    return gates.new_empty(num_atoms, channels), gates.new_empty(num_atoms, 3, channels)


def _run_derivatives(*given: Any) -> tuple[Tensor, ...]:  # noqa: ANN401  # as above
    *inputs, of_shift, of_turn, has_mixing = given
    engine = _engine(of_shift)
    found = engine.first_derivatives(Inputs(*inputs), of_shift, of_turn, has_mixing=has_mixing)
    return tuple(of_shift.new_empty(0) if part is None else part for part in found)


def _shapes_of_derivatives(*given: Any) -> tuple[Tensor, ...]:  # noqa: ANN401  # as above
    gates, radial, mixing, directions, vectors, *_, has_mixing = given
    parts = (gates, radial, mixing if has_mixing else None, directions, vectors)
    return tuple(
        gates.new_empty(0) if part is None else part.new_empty(part.shape) for part in parts
    )


def _add_rows(base: Tensor, dim: int, index: Tensor, rows: Tensor, alpha: float) -> Tensor:
    return base.index_add(dim, index, rows, alpha=alpha)


def _reduce_rows(  # noqa: PLR0913, PLR0917  # the arguments of torch.scatter_reduce
    base: Tensor, dim: int, index: Tensor, values: Tensor, reduce: str, include_self: bool
) -> Tensor:
    return base.scatter_reduce(dim, index, values, reduce, include_self=include_self)


def _put_rows(
    base: Tensor, indices: list[Tensor | None], values: Tensor, accumulate: bool
) -> Tensor:
    return torch.ops.aten.index_put.default(base, indices, values, accumulate)


def _like_base(base: Tensor, *_others: Any) -> Tensor:  # noqa: ANN401  # whatever they are
    return torch.empty_like(base, memory_format=torch.contiguous_format)


_OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    f"sum_messages({_MADE_OF}) -> (Tensor, Tensor)": (_run_sums, _shapes_of_sums),
    f"first_derivatives({_MADE_OF}, Tensor of_shift, Tensor of_turn, bool has_mixing)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)": (_run_derivatives, _shapes_of_derivatives),
    "add_rows(Tensor base, int dim, Tensor index, Tensor rows, Scalar alpha) -> Tensor": (
        _add_rows,
        _like_base,
    ),
    "reduce_rows(Tensor base, int dim, Tensor index, Tensor values, str reduce, bool include)"
    " -> Tensor": (_reduce_rows, _like_base),
    "put_rows(Tensor base, Tensor?[] indices, Tensor values, bool accumulate) -> Tensor": (
        _put_rows,
        _like_base,
    ),
}

for _signature, (_run, _shapes) in _OPERATIONS.items():
    # arrays may come in any order of memory: no copy is made for the call
    _OURS.define(_signature, tags=(torch.Tag.flexible_layout,))
    _name = _signature.split("(")[0]
    # "library.impl", not "custom_op": its wrapper would cost more than a small molecule's sums
    _OURS.impl(_name, _run, "CompositeExplicitAutograd")
    torch.library.register_fake(f"hydracalc::{_name}", _shapes, lib=_OURS)

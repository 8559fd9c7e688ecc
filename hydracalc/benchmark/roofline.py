"""How far a step is from what the machine can do: its matrix products and its memory.

Ceilings are measured, not read from a data sheet: the rate of one large matrix product, and of one
large copy. A step whose products ran at that rate would take its "GEMM floor"; one that moved its
data at the rate of the copy, its "memory floor".
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from hydracalc.benchmark import clock
from hydracalc.benchmark.clock import Effort
from hydracalc.models import precision

_COPY_BYTES = 2**28
_MATRIX_SIZE = {"cpu": 2048, "cuda": 8192}
_BRIEF = Effort(seconds=1.0, min_rounds=3, max_rounds=20, warm_up=1)


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What the machine does at best.

    Attributes:
        gemm_GFLOP_per_s: of a product of two square matrices, by type of number.
        copy_GB_per_s: bytes read and written by a copy that no cache holds.
    """

    gemm_GFLOP_per_s: dict[str, float]
    copy_GB_per_s: float


@dataclass(frozen=True, kw_only=True)
class Achieved:
    """What one kind of step does.

    Attributes:
        step: which.
        median_ms: of it.
        gemm_GFLOP: in its matrix products.
        gemm_GFLOP_per_s: of those, over the whole step.
        gemm_floor_ms: time of its matrix products at the ceiling.
        gemm_fraction: of the step that the floor is.
        traffic_GB: read and written by torch's operators; a compiled loop of our own does not show.
        traffic_GB_per_s: of that, over the whole step.
        memory_floor_ms: time of that traffic at the ceiling, if no cache took any.
        memory_fraction: of the step that this floor is.
    """

    step: str
    median_ms: float
    gemm_GFLOP: float
    gemm_GFLOP_per_s: float
    gemm_floor_ms: float
    gemm_fraction: float
    traffic_GB: float
    traffic_GB_per_s: float
    memory_floor_ms: float
    memory_fraction: float


def measure_ceilings(device: torch.device) -> Ceilings:
    """Rates of a large matrix product in every precision and of a large copy."""
    size = _MATRIX_SIZE.get(device.type, _MATRIX_SIZE["cpu"])
    return Ceilings(
        gemm_GFLOP_per_s={
            name: gemm_rate(kinds.products, size, device=device)
            for name, kinds in precision.PRECISIONS.items()
        },
        copy_GB_per_s=copy_rate(_COPY_BYTES, device=device),
    )


def gemm_rate(
    dtype: torch.dtype, size: int, *, device: torch.device, effort: Effort = _BRIEF
) -> float:
    """Rate of the fastest of several products of two (size, size) matrices, GFLOP/s."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    times = clock.interleaved(
        {"product": lambda: torch.mm(left, right, out=out)}, effort=effort, device=device
    )
    return 2e-6 * size**3 / float(times["product"].min())


def copy_rate(num_bytes: int, *, device: torch.device, effort: Effort = _BRIEF) -> float:
    """Rate of the fastest of several copies of an array, bytes read and written, GB/s."""
    source = torch.zeros(num_bytes // 4, device=device)
    target = torch.ones_like(source)
    times = clock.interleaved({"copy": lambda: target.copy_(source)}, effort=effort, device=device)
    return 2e-6 * num_bytes / float(times["copy"].min())


def achieved(
    name: str,
    step: Callable[[], object],
    *,
    ceilings: Ceilings,
    dtype: str,
    device: torch.device,
    effort: Effort,
) -> Achieved:
    """Rates of a step against the ceilings.

    Args:
        name: of the step.
        step: takes one.
        ceilings: of the same device and number of threads.
        dtype: of the step's matrix products.
        device: of the step.
        effort: of the timing.
    """
    times = clock.interleaved({name: step}, effort=effort, device=device)[name]
    seconds = clock.summary(times).median_ms / 1000
    work = count_work(step)
    flops, traffic = work.flops, work.num_bytes
    floor = flops / (1e9 * ceilings.gemm_GFLOP_per_s[dtype])
    memory_floor = traffic / (1e9 * ceilings.copy_GB_per_s)
    return Achieved(
        step=name,
        median_ms=1000 * seconds,
        gemm_GFLOP=flops / 1e9,
        gemm_GFLOP_per_s=flops / 1e9 / seconds,
        gemm_floor_ms=1000 * floor,
        gemm_fraction=floor / seconds,
        traffic_GB=traffic / 1e9,
        traffic_GB_per_s=traffic / 1e9 / seconds,
        memory_floor_ms=1000 * memory_floor,
        memory_fraction=memory_floor / seconds,
    )


def count_work(step: Callable[[], object]) -> "Work":
    """Operations and traffic of a step, derivatives included."""
    counter = _Counter()
    with counter:
        step()
    return Work(flops=counter.flops, num_bytes=counter.num_bytes)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a step has to do.

    Attributes:
        flops: multiplications and additions in its matrix products.
        num_bytes: that its operators read and write, as if there were no cache.
    """

    flops: int
    num_bytes: int


class _Counter(TorchDispatchMode):
    """Adds up operations and sizes of what operators are given and make; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.num_bytes = 0

    def __torch_dispatch__(  # torch's own signature
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Any = (),  # noqa: ANN401
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        given = kwargs or {}
        out = func(*args, **given)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **given, out_val=out)
        if not func.is_view and func.overloadpacket not in _FREE:
            self.num_bytes += _moved(func, _tensors((args, given)), _tensors(out))
        return out


def _moved(func: Any, given: list[Tensor], made: list[Tensor]) -> int:  # noqa: ANN401
    """Bytes that an operator reads and writes."""
    written = sum(map(_size, made))
    if func.overloadpacket in _GATHERS:
        # of the table it reads as much as it writes
        return 2 * written + sum(_size(each) for each in given if not each.is_floating_point())
    return written + sum(map(_size, given))


_ATEN = torch.ops.aten
_FREE = {
    _ATEN.empty,
    _ATEN.empty_like,
    _ATEN.empty_strided,
    _ATEN.new_empty,
    _ATEN.new_empty_strided,
}
_GATHERS = {_ATEN.index_select, _ATEN.embedding, _ATEN.index}


def _tensors(tree: Any) -> list[Tensor]:  # noqa: ANN401
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _size(tensor: Tensor) -> int:
    """Bytes of the numbers that a tensor really has: what is broadcast is read once."""
    lengths = [n for n, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]
    return math.prod(lengths) * tensor.element_size() if tensor.numel() else 0

"""Where the time of a step goes, by kind of work."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

_STEPS = 5
_WARM_UP = 2

# first pattern that fits the name of an operator
_KINDS = (
    ("matrix products", r"aten::(mm|addmm|bmm|baddbmm|matmul|linear|einsum|mv|addmv|_scaled_mm)$"),
    ("gather and sum by index", r"aten::(index|gather|scatter|embedding|segment|_index)"),
    # torch's own autograd functions end in a digit
    ("autograd functions of our own", r"hydracalc::|_?[A-Z]\w*(?<!\d)$"),
    ("optimizer", r"Optimizer\.|aten::_foreach|aten::_fused_adam"),
    (
        "copies and new arrays",
        r"aten::(copy|cat|clone|_?to|stack|zero|fill|empty|new_|ones)",
    ),
    ("other operators", r"aten::"),
)
# what no operator took, compiled loops outside of autograd functions among it
REST = "Python, compiled loops, waiting"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Share of one kind of work in a step.

    Attributes:
        kind: of work.
        ms: of a step, under the profiler, which slows small operators down.
        share: of the step.
    """

    kind: str
    ms: float
    share: float


def time_parts(step: Callable[[], object], *, device: torch.device) -> list[Part]:
    """Time of a step by kind of work, largest first; all shares add up to 1.

    Args:
        step: takes one.
        device: of the step; on a GPU the times are those of its kernels.
    """
    is_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * is_gpu
    for _ in range(_WARM_UP):
        step()
    with profile(activities=activities) as recorded:
        start = time.perf_counter()
        for _ in range(_STEPS):
            step()
        if is_gpu:
            torch.cuda.synchronize(device)
        whole = 1000 * (time.perf_counter() - start) / _STEPS
    sums: dict[str, float] = {}
    for event in recorded.key_averages():
        own = event.self_device_time_total if is_gpu else event.self_cpu_time_total
        kind = kind_of(event.key)
        sums[kind] = sums.get(kind, 0.0) + own / 1000 / _STEPS
    rest = sums.pop(REST, 0.0)
    sums[REST] = max(rest, whole - sum(sums.values()))
    whole = sum(sums.values())
    return sorted(
        (Part(kind=kind, ms=ms, share=ms / whole) for kind, ms in sums.items()),
        key=lambda part: -part.ms,
    )


def kind_of(operator: str) -> str:
    """Kind of work of an operator of torch, or of an autograd function of our own, by its name."""
    return next((kind for kind, pattern in _KINDS if re.match(pattern, operator)), REST)

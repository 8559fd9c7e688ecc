"""A plan in words, as a table and as JSON, with everything that it assumes."""

from dataclasses import asdict
from typing import Any

from hydracalc.planning.calibration import Calibration
from hydracalc.planning.layouts import LayoutPlan, Machine, Model, Plan
from hydracalc.planning.memory import GB
from hydracalc.planning.sizes import measure_size
from hydracalc.planning.workload import Workload

COLUMNS = (
    "layout",
    "groups",
    "model GB",
    "batch GB",
    "peak GB",
    "data GB",
    "step ms",
    "compute",
    "sums",
    "data",
    "idle",
    "structures/s",
    "efficiency",
    "",
)


def model_of(workload: Workload, calibration: Calibration, machine: Machine) -> Model:
    """Everything together, with the exact size of the model."""
    return Model(
        workload=workload,
        size=measure_size(workload.model),
        calibration=calibration,
        machine=machine,
    )


def summary(model: Model, found: Plan) -> dict[str, str]:
    """What is planned, in some lines."""
    workload, size = model.workload, model.size
    atoms, edges = workload.per_structure()
    part = workload.structures_per_rank()
    return {
        "run": workload.name,
        "model": f"{workload.model.encoder}, {workload.model.num_layers} layers of "
        f"{workload.model.num_channels}, heads {list(workload.model.head_widths)}, "
        f"{workload.precision}",
        "parameters": f"encoder Ps {size.encoder:,}, branch Ph {size.branch:,}, "
        f"{len(workload.branches)} branches",
        "data": f"{workload.num_structures:,} structures; drawn ones have {atoms:.1f} atoms, "
        f"{edges:.0f} edges",
        "batch of a rank": f"{part:.1f} structures, {part * atoms:.0f} atoms, "
        f"{part * edges:.0f} edges",
        "ranks": f"{found.num_ranks:,}, epoch of "
        f"{workload.num_structures / (part * found.num_ranks):,.0f} steps",
    }


def table(found: Plan) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows, a row for each layout."""
    return COLUMNS, [_row(each) for each in found.layouts]


def assumptions(model: Model) -> list[str]:
    """Everything that the numbers rest on."""
    costs, machine = model.calibration, model.machine
    network = machine.network
    speed = "as measured"
    if machine.flops_per_s is not None:
        speed = (
            f"{machine.flops_per_s / 1e12:g} TFLOP/s sustained, {model.speed:.3g} times as "
            "measured; starting operations takes as long as here"
        )
    width = machine.width or "all ranks of a group"
    return [
        *model.workload.notes,
        f"calibrated on {costs.machine}: step {1e3 * costs.step_s:.3g} ms + "
        f"{1e3 * costs.branch_s:.3g} a branch in the batch + {1e6 * costs.atom_s:.3g} us an atom "
        f"+ {1e6 * costs.edge_s:.3g} an edge + {1e9 * costs.touch_s:.3g} ns a weight gone through "
        f"+ {1e9 * costs.weight_s:.3g} a weight updated; the fit is off by up to "
        f"{100 * costs.time_error:.0f} %",
        f"activations: the formula of {costs.encoder} times {costs.activation_ratio:.3f}, as a "
        f"batch of that size has it; off by {100 * costs.activation_error:.0f} % at half of that",
        f"matrix products: {costs.flops_atom / 1e6:.4g} MFLOP an atom + "
        f"{costs.flops_edge / 1e6:.4g} an edge, {costs.flops_per_s / 1e9:.3g} GFLOP/s measured",
        f"a rank computes {speed}",
        f"network {network.name}: {1e6 * network.alpha:.3g} us, "
        f"{1e-9 / network.beta if network.beta else float('inf'):.3g} GB/s a rank "
        f"({network.source}); sums by {machine.algorithm}; "
        f"{100 * machine.overlap:g} % of computing hides sums",
        "ranks of a group have equal work; ranks are given to groups by largest remainder of the "
        "atoms drawn of their branches",
        f"one copy of a group's structures and neighbor lists on {width}; graphs are made ahead "
        "by a thread",
        "a rank keeps weights, gradients, two moments and the average; gradients are summed where "
        "they are",
    ]


def to_json(model: Model, found: Plan) -> dict[str, Any]:
    """The plan with everything in it, for another program."""
    return {
        "run": model.workload.name,
        "num_ranks": found.num_ranks,
        "parameters": {"encoder": found.size.encoder, "branch": found.size.branch},
        "num_branches": len(model.workload.branches),
        "num_structures": model.workload.num_structures,
        "layouts": [_json(each) for each in found.layouts],
        "impossible": found.impossible,
        "choice": found.choice,
        "reason": found.reason,
        "calibration": asdict(model.calibration),
        "assumptions": assumptions(model),
    }


def _json(each: LayoutPlan) -> dict[str, Any]:
    memory = {f"{name}_bytes": number for name, number in asdict(each.memory).items()}
    return {
        "layout": each.layout,
        "groups": [{"branches": g.branches, "num_ranks": len(g.ranks)} for g in each.groups],
        "memory": {
            **memory,
            "device_bytes": each.memory.device,
            "host_bytes": each.memory.host,
        },
        "split": asdict(each.split),
        "step_s": each.split.step_s,
        "structures_per_s": each.split.structures_per_s,
        "efficiency": each.efficiency,
        "fits": not each.problem,
        "problem": each.problem,
    }


def _row(each: LayoutPlan) -> tuple[str, ...]:
    memory, split = each.memory, each.split
    gigabytes = (memory.model, memory.activations, memory.device, memory.host)
    parts = (split.step_s, split.compute_s, split.collective_s, split.data_s, split.idle_s)
    return (
        each.layout,
        str(len(each.groups)),
        *(f"{number / GB:.3g}" for number in gigabytes),
        *(f"{1e3 * seconds:.4g}" for seconds in parts),
        f"{split.structures_per_s:,.0f}",
        f"{100 * each.efficiency:.0f} %",
        each.problem,
    )

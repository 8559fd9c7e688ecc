"""A calibration and a workload whose numbers are easy to follow."""

from hydracalc.models.hydra import HydraConfig
from hydracalc.planning.calibration import Calibration
from hydracalc.planning.layouts import Machine, Model
from hydracalc.planning.sizes import measure_size
from hydracalc.planning.workload import BranchLoad, Workload

CONFIG = HydraConfig(encoder="painn", num_channels=16, num_layers=2, head_widths=(16,))


def make_calibration(**changed):
    values = {
        "encoder": "painn",
        "num_channels": 16,
        "num_layers": 2,
        "precision": "float32",
        "machine": "made up",
        "step_s": 1e-3,
        "branch_s": 1e-4,
        "atom_s": 1e-5,
        "edge_s": 1e-6,
        "touch_s": 1e-9,
        "weight_s": 1e-9,
        "graph_s": 1e-7,
        "activation_ratio": 1.0,
        "flops_atom": 1e6,
        "flops_edge": 1e5,
        "flops_per_s": 1e10,
        "time_error": 0.1,
        "activation_error": 0.1,
    }
    return Calibration(**(values | changed))


def make_workload(sizes=(400, 300, 200, 100), **changed):
    values = {
        "name": "made up",
        "model": CONFIG,
        "precision": "float32",
        "branches": tuple(
            BranchLoad(
                name=f"b{n}", num_structures=count, atoms=10.0, atoms_spread=4.0, edges=200.0
            )
            for n, count in enumerate(sizes)
        ),
        "alpha": 1.0,
        "max_atoms": 200,
        "max_edges": 10_000,
    }
    return Workload(**(values | changed))


def make_model(*, calibration=None, machine=None, **changed):
    workload = make_workload(**changed)
    return Model(
        workload=workload,
        size=measure_size(workload.model),
        calibration=calibration or make_calibration(),
        machine=machine or Machine(),
    )

"""Branches spread over ranks, in every layout, train as one process with all the data does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("ranks_run.py")
MPIEXEC = Path(sys.prefix) / "bin" / "mpiexec"
TORCHRUN = Path(sys.prefix) / "bin" / "torchrun"
STEPS = 20

# layout, groups, ranks
CASES = [
    ("base", 0, 2),
    ("base", 0, 3),
    ("multitask", 0, 3),
    ("multitask", 0, 4),
    ("hybrid", 2, 2),
    ("hybrid", 2, 3),
]


def run(out, layout, groups, ranks, launcher):
    arguments = [SCRIPT, out, layout, groups, STEPS]
    start = {
        "alone": [sys.executable],
        "mpiexec": [MPIEXEC, "-n", ranks, sys.executable],
        "torchrun": [TORCHRUN, "--standalone", "--nproc-per-node", ranks],
    }[launcher]
    command = [str(word) for word in (*start, *arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=120, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return load_file(out)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return run(tmp_path_factory.mktemp("one") / "out.safetensors", "base", 0, 1, "alone")


def largest_difference(one, other, prefix):
    """Relative to the largest entry of all tensors of that kind.

    Some gradients are zero but for rounding (a bias that the isolated atom takes off again).
    """
    names = [name for name in one if name.startswith(prefix)]
    assert names
    assert sorted(names) == sorted(name for name in other if name.startswith(prefix))
    scale = max(float(one[name].abs().max()) for name in names)
    return max(float((one[name] - other[name]).abs().max()) for name in names) / scale


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("layout", "groups", "ranks", "launcher"),
    [*((*case, "mpiexec") for case in CASES), ("multitask", 0, 4, "torchrun")],
)
def test_ranks_together_are_one_process(one, tmp_path, layout, groups, ranks, launcher):
    several = run(tmp_path / "out.safetensors", layout, groups, ranks, launcher)
    assert (one["objectives"] - several["objectives"]).abs().max() < 1e-10
    assert largest_difference(one, several, "first.") < 1e-12
    for prefix in ("model.", "average.", "optimizer.exp_avg."):
        assert largest_difference(one, several, prefix) < 1e-10
    assert several["empty"].shape == (ranks, 2)
    assert (several["empty"][:, 1] == STEPS).all()  # every rank took every step
    if layout == "multitask":
        assert several["empty"][:, 0].max() > 0  # some had nothing to do in some


def test_the_comparison_can_fail(one):
    other = dict(one)
    weights = [name for name in one if name.startswith("model.")]
    name = max(weights, key=lambda name: float(one[name].abs().max()))
    other[name] = one[name] * (1 + 1e-9)
    assert largest_difference(one, other, "model.") > 1e-10

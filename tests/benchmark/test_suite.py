"""A run measures what is asked for and nothing else."""

import pytest
import torch

from hydracalc.benchmark import roofline, steps, suite
from hydracalc.benchmark.clock import Effort
from hydracalc.benchmark.suite import BenchConfig

BRIEF = Effort(seconds=0, min_rounds=2, max_rounds=2, warm_up=1)


def run(model, **wanted):
    said = []
    settings = {"sizes": (8,), "memory": False, "effort": BRIEF, "device": "cpu"} | wanted
    return suite.run(BenchConfig(model=model, **settings), show=said.append), said


def test_sizes_alone(small_model):
    found, said = run(small_model, sizes=(12, 8), branch="general")
    assert [step.system for step in found.steps] == ["C6H6", "Si8"]
    assert (found.encoder, found.num_channels, found.num_layers) == ("painn", 16, 2)
    assert (found.branch, found.dtype, found.compiled) == ("general", "float32", False)
    assert (found.memory, found.precision, found.achieved) == ((), (), ())
    assert found.training is found.ceilings is found.exponent is None
    assert said == [
        "dynamics of C6H6",
        "dynamics of Si8",
        "mixtures of branches on C6H6",
        "mixtures of branches on Si8",
    ]


def test_threads_are_used_and_given_back(small_model):
    before = torch.get_num_threads()
    found, _ = run(small_model, threads=before + 1)
    assert found.machine.threads == before + 1
    assert torch.get_num_threads() == before


def test_an_exponent_comes_with_two_large_sizes(small_model):
    found, _ = run(small_model, sizes=(8, 200, 400))
    large = found.steps[1:]
    medians = [step.timing.median_ms for step in large]
    assert found.exponent == pytest.approx(steps.exponent([200, 400], medians))


def test_a_branch_that_lacks_the_crystal_leaves_it_out(small_model):
    found, _ = run(small_model, sizes=(12, 64), branch="organic")
    assert [step.system for step in found.steps] == ["C6H6", "C64"]
    assert "C instead" in found.left_out["Si"]


def test_rates_and_parts_of_dynamics_and_of_training(small_model, monkeypatch):
    monkeypatch.setattr(roofline, "_MATRIX_SIZE", {"cpu": 128})
    monkeypatch.setattr(roofline, "_COPY_BYTES", 2**22)
    found, _ = run(small_model, roofline=True, training=True, batch=2)
    assert [row.step for row in found.achieved] == ["MD step of Si8", "training step"]
    assert set(found.parts) == {"MD step of Si8", "training step"}
    for row in found.achieved:
        assert row.gemm_fraction > 0
        assert row.traffic_GB > 0
    assert set(found.ceilings.gemm_GFLOP_per_s) == {"float32", "float64", "bfloat16"}
    assert found.training.num_structures == 2
    # the new model has the shape of the one that is measured
    assert (found.training.encoder, found.training.num_channels) == ("painn", 16)


def test_wrong_settings_are_found_before_anything_is_measured(small_model):
    with pytest.raises(ValueError, match="size 13"):
        BenchConfig(sizes=(13,))
    with pytest.raises(ValueError, match="threads is 0"):
        BenchConfig(threads=0)
    with pytest.raises(ValueError, match="did you mean 'organic'"):
        run(small_model, branch="organc")

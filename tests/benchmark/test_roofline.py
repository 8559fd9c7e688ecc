"""Operations and bytes are counted right, and floors follow from the ceilings."""

import pytest
import torch
from torch import nn

from hydracalc.benchmark import roofline
from hydracalc.benchmark.clock import Effort
from hydracalc.benchmark.roofline import Ceilings

CPU = torch.device("cpu")


def flops(step):
    return roofline.count_work(step).flops


def traffic(step):
    return roofline.count_work(step).num_bytes


def test_operations_of_products_by_hand():
    """An (m, k) by (k, n) product takes m n k multiplications and as many additions."""
    a, b, stack = torch.randn(5, 7), torch.randn(7, 3), torch.randn(4, 2, 6)
    assert flops(lambda: a @ b) == 2 * 5 * 7 * 3
    assert flops(lambda: stack @ stack.mT) == 4 * 2 * 2 * 2 * 6
    assert flops(lambda: a + a) == 0


def test_operations_of_a_training_step_by_hand():
    """Forward, and backward to the weights; inputs without a gradient cost no third product."""
    layer, inputs = nn.Linear(8, 3, bias=False), torch.randn(10, 8)
    once = 2 * 10 * 8 * 3

    def step():
        layer(inputs).square().sum().backward()

    assert flops(lambda: layer(inputs)) == once
    assert flops(step) == 2 * once
    inputs.requires_grad_()
    assert flops(step) == 3 * once


def test_operations_of_second_derivatives_are_counted():
    layer = nn.Linear(4, 4, bias=False)
    inputs = torch.randn(6, 4, requires_grad=True)

    def step():
        (gradient,) = torch.autograd.grad(layer(inputs).square().sum(), inputs, create_graph=True)
        gradient.square().sum().backward()

    # forward, to the inputs, and of those two: to weights and inputs each
    assert flops(step) == 6 * 2 * 6 * 4 * 4


def test_bytes_of_operators_by_hand():
    a, b = torch.zeros(100), torch.zeros(100)
    assert traffic(lambda: a + b) == 3 * 400
    assert traffic(lambda: a.view(10, 10).T) == 0
    assert traffic(lambda: a.clone()) == 2 * 400
    # a row that is broadcast is read once
    row = torch.zeros(10)
    assert traffic(lambda: a.view(10, 10) + row) == 400 + 40 + 400
    # a gather reads no more of its table than it hands out, and the indices
    rows = torch.zeros(3, dtype=torch.int64)
    table = torch.zeros(1000, 4)
    assert traffic(lambda: table.index_select(0, rows)) == 2 * 48 + 24


def test_floors_are_the_work_at_the_ceiling():
    a = torch.randn(64, 64)
    found = roofline.achieved(
        "product",
        lambda: a @ a,
        ceilings=Ceilings(gemm_GFLOP_per_s={"float32": 2.0}, copy_GB_per_s=4.0),
        dtype="float32",
        device=CPU,
        effort=Effort(seconds=0, min_rounds=3, max_rounds=3),
    )
    assert pytest.approx(2e-9 * 64**3) == found.gemm_GFLOP
    assert found.gemm_floor_ms == pytest.approx(1000 * 2e-9 * 64**3 / 2)
    assert found.gemm_fraction == pytest.approx(found.gemm_floor_ms / found.median_ms)
    assert pytest.approx(1000 * found.gemm_GFLOP / found.median_ms) == found.gemm_GFLOP_per_s
    assert pytest.approx(3 * 4e-9 * 64**2) == found.traffic_GB
    assert found.memory_floor_ms == pytest.approx(1000 * found.traffic_GB / 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rates_follow_from_work_and_time(monkeypatch, dtype):
    """Each call takes 2 ms by a made-up clock."""
    ticks = iter(range(100))
    monkeypatch.setattr(roofline.clock.time, "perf_counter", lambda: 0.002 * next(ticks))
    effort = Effort(seconds=0, min_rounds=2, max_rounds=2, warm_up=1)
    rate = roofline.gemm_rate(dtype, 100, device=CPU, effort=effort)
    assert rate == pytest.approx(1e-9 * 2 * 100**3 / 0.002)
    rate = roofline.copy_rate(2**20, device=CPU, effort=effort)
    assert rate == pytest.approx(1e-9 * 2 * 2**20 / 0.002)

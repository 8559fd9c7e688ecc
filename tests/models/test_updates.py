"""The written-out derivatives of PaiNN's update against autograd on the plain formula."""

import pytest
import torch

from hydracalc.kernels import threads
from hydracalc.models.updates import combine, measure

N, C, FLOOR = 7, 3, 1e-3


def plain_measure(mixed):
    turned, measured = mixed.chunk(2, dim=-1)
    return torch.sqrt(measured.square().sum(dim=1) + FLOOR), (turned * measured).sum(dim=1)


def plain_combine(gates, overlap, mixed):
    shift, product, stretch = gates.chunk(3, dim=-1)
    return shift + product * overlap, stretch[:, None, :] * mixed.chunk(2, dim=-1)[0]


CASES = {
    "measure": (lambda mixed: measure(mixed, FLOOR), plain_measure, [(N, 3, 2 * C)]),
    "combine": (combine, plain_combine, [(N, 3 * C), (N, C), (N, 3, 2 * C)]),
}


@pytest.fixture(params=CASES)
def case(request):
    written, plain, sizes = CASES[request.param]
    generator = torch.Generator().manual_seed(1)
    arrays = [torch.randn(*s, generator=generator, dtype=torch.float64) for s in sizes]
    return written, plain, [array.requires_grad_() for array in arrays]


@pytest.fixture(params=[1, 3], autouse=True)
def num_threads(request, monkeypatch):
    monkeypatch.setattr(threads, "_WORTH_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: request.param)


def second(function, arrays):
    first, other = function(*arrays)
    objective = first.sin().sum() + other.cos().sum()
    slopes = torch.autograd.grad(objective, arrays, create_graph=True)
    return torch.autograd.grad(sum(g.square().sum() for g in slopes), arrays)


def test_values_equal_the_plain_formula(case):
    written, plain, arrays = case
    for got, want in zip(written(*arrays), plain(*arrays), strict=True):
        torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-12)


def test_derivatives_equal_finite_differences(case):
    written, _, arrays = case
    assert torch.autograd.gradcheck(written, arrays)
    assert torch.autograd.gradgradcheck(written, arrays)


def test_second_derivatives_equal_autograd_on_the_plain_formula(case):
    written, plain, arrays = case
    for got, want in zip(second(written, arrays), second(plain, arrays), strict=True):
        torch.testing.assert_close(got, want, atol=1e-10, rtol=1e-10)

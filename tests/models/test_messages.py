"""The written-out derivatives of PaiNN's messages against autograd on the plain formula."""

import pytest
import torch

from hydracalc.models import messages
from hydracalc.models.messages import sum_messages

N, E, C = 5, 14, 2


def plain(gates, filters, directions, vectors, edges):
    """The sum as the paper writes it, one array an operation."""
    senders, receivers = edges
    p1, p2, p3 = (gates.index_select(0, senders) * filters).chunk(3, dim=1)
    moved = p2[:, None] * directions[:, :, None]
    if vectors is not None:
        moved = moved + p3[:, None] * vectors.index_select(0, senders)
    shift = gates.new_zeros(len(gates), p1.shape[1]).index_add(0, receivers, p1)
    turn = gates.new_zeros(len(gates), 3, p1.shape[1]).index_add(0, receivers, moved)
    return shift, turn


@pytest.fixture(params=[True, False], ids=["with vectors", "without vectors"])
def inputs(request):
    generator = torch.Generator().manual_seed(0)
    sizes = [(N, 3 * C), (E, 3 * C), (E, 3)] + ([(N, 3, C)] if request.param else [])
    arrays = [torch.randn(*size, generator=generator, dtype=torch.float64) for size in sizes]
    arrays = [array.requires_grad_() for array in arrays]
    receivers = torch.randint(N, (E,), generator=generator).sort().values
    edges = torch.randint(N, (E,), generator=generator), receivers
    return arrays, edges


def call(function, arrays, edges):
    return function(*arrays[:3], arrays[3] if len(arrays) > 3 else None, edges)


def test_values_equal_the_plain_sum_whatever_the_block(inputs, monkeypatch):
    arrays, edges = inputs
    expected = call(plain, arrays, edges)
    for block in (1, 3, E, 1000):
        monkeypatch.setattr(messages, "_BLOCK", block)
        for got, want in zip(call(sum_messages, arrays, edges), expected, strict=True):
            torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("block", [4, 1000])
def test_first_and_second_derivatives_equal_finite_differences(inputs, monkeypatch, block):
    monkeypatch.setattr(messages, "_BLOCK", block)
    arrays, edges = inputs
    function = lambda *given: call(sum_messages, given, edges)  # noqa: E731
    assert torch.autograd.gradcheck(function, arrays)
    assert torch.autograd.gradgradcheck(function, arrays)


def test_second_derivatives_equal_autograd_on_the_plain_sum(inputs):
    arrays, edges = inputs

    def second(function):
        shift, turn = call(function, arrays, edges)
        objective = shift.sin().sum() + turn.cos().sum()
        first = torch.autograd.grad(objective, arrays, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), arrays)

    for got, want in zip(second(sum_messages), second(plain), strict=True):
        torch.testing.assert_close(got, want, atol=1e-10, rtol=1e-10)


def test_no_edges_is_no_message():
    empty = torch.zeros(0, dtype=torch.int64)
    shift, turn = sum_messages(
        torch.ones(N, 3 * C), torch.zeros(0, 3 * C), torch.zeros(0, 3), None, (empty, empty)
    )
    assert shift.abs().sum() == turn.abs().sum() == 0

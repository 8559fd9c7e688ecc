"""The written-out derivatives of PaiNN's messages against autograd on the plain formula."""

import pytest
import torch

from hydracalc.kernels import messages as loops
from hydracalc.kernels import threads
from hydracalc.models import message_blocks, messages
from hydracalc.models.messages import Inputs, sum_messages

N, E, C, K = 5, 14, 2, 3


def plain(inputs):
    """The sum as the paper writes it, one array an operation."""
    gates, radial, mixing, directions, vectors, one, other = inputs
    senders, receivers = torch.cat([one, other]), torch.cat([other, one])
    radial, directions = torch.cat([radial, radial]), torch.cat([directions, -directions])
    p1, p2, p3 = (gates.index_select(0, senders) * (radial @ mixing)).chunk(3, dim=1)
    moved = p2[:, None] * directions[:, :, None]
    if vectors is not None:
        moved = moved + p3[:, None] * vectors.index_select(0, senders)
    shift = gates.new_zeros(len(gates), p1.shape[1]).index_add(0, receivers, p1)
    turn = gates.new_zeros(len(gates), 3, p1.shape[1]).index_add(0, receivers, moved)
    return shift, turn


@pytest.fixture(params=[True, False], ids=["with vectors", "without vectors"])
def inputs(request):
    generator = torch.Generator().manual_seed(0)
    sizes = [(N, 3 * C), (E, K), (K, 3 * C), (E, 3)] + ([(N, 3, C)] if request.param else [])
    arrays = [torch.randn(*size, generator=generator, dtype=torch.float64) for size in sizes]
    arrays = [array.requires_grad_() for array in arrays]
    receivers = torch.randint(N, (E,), generator=generator).sort().values
    edges = torch.randint(N, (E,), generator=generator), receivers
    return arrays, edges


def call(function, arrays, edges):
    return function(Inputs(*arrays[:4], arrays[4] if len(arrays) > 4 else None, *edges))


@pytest.fixture(params=["one thread", "three threads", "blocks of 4", "one block"])
def engine(request, monkeypatch):
    """Every way the sums are done: compiled loops, and torch's operations in blocks."""
    name = request.param
    if "thread" in name:
        monkeypatch.setattr(threads, "_WORTH_A_THREAD", 1)
        monkeypatch.setattr(loops, "_BLOCK", 9)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3 if name == "three threads" else 1)
    else:
        monkeypatch.setattr(messages, "_engine", lambda _: message_blocks)
        monkeypatch.setattr(message_blocks, "_BLOCK", {"cpu": 4 if name == "blocks of 4" else 1000})


@pytest.mark.usefixtures("engine")
def test_values_equal_the_plain_sum(inputs):
    arrays, edges = inputs
    for got, want in zip(call(sum_messages, *inputs), call(plain, arrays, edges), strict=True):
        torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-12)


@pytest.mark.usefixtures("engine")
def test_first_and_second_derivatives_equal_finite_differences(inputs):
    arrays, edges = inputs
    function = lambda *given: call(sum_messages, given, edges)  # noqa: E731
    assert torch.autograd.gradcheck(function, arrays)
    assert torch.autograd.gradgradcheck(function, arrays)


@pytest.mark.usefixtures("engine")
def test_second_derivatives_equal_autograd_on_the_plain_sum(inputs):
    arrays, edges = inputs
    for got, want in zip(
        second(sum_messages, arrays, edges), second(plain, arrays, edges), strict=True
    ):
        torch.testing.assert_close(got, want, atol=1e-10, rtol=1e-10)


@pytest.mark.usefixtures("engine")
def test_float32_is_the_plain_sum_to_its_rounding(inputs):
    arrays = [array.detach().float().requires_grad_() for array in inputs[0]]
    for got, want in zip(
        second(sum_messages, arrays, inputs[1]), second(plain, *inputs), strict=True
    ):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), want, atol=1e-5 * float(want.abs().max()), rtol=0)


def second(function, arrays, edges):
    """Derivatives of an objective made of first derivatives, as a loss on forces is."""
    shift, turn = call(function, arrays, edges)
    objective = shift.sin().sum() + turn.cos().sum()
    first = torch.autograd.grad(objective, arrays, create_graph=True)
    return torch.autograd.grad(sum(g.square().sum() for g in first), arrays)


def test_no_edges_is_no_message():
    empty = torch.zeros(0, dtype=torch.int64)
    shift, turn = sum_messages(
        Inputs(
            torch.ones(N, 3 * C),
            torch.zeros(0, K),
            torch.ones(K, 3 * C),
            torch.zeros(0, 3),
            None,
            empty,
            empty,
        )
    )
    assert shift.abs().sum() == turn.abs().sum() == 0

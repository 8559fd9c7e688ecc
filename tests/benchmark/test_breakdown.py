"""The time of a step is shared out among kinds of work without a rest."""

import pytest
import torch

from hydracalc.benchmark import breakdown


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::mm", "matrix products"),
        ("aten::addmm", "matrix products"),
        ("aten::mul", "other operators"),
        ("aten::index_add_", "gather and sum by index"),
        ("aten::scatter_add_", "gather and sum by index"),
        ("aten::copy_", "copies and new arrays"),
        ("_FirstDerivatives", "autograd functions of our own"),
        ("_SumMessagesBackward", "autograd functions of our own"),
        ("MulBackward0", breakdown.REST),
        ("autograd::engine::evaluate_function: MmBackward0", breakdown.REST),
        ("Optimizer.step#AdamW.step", "optimizer"),
    ],
)
def test_operators_are_told_apart_by_name(operator, kind):
    assert breakdown.kind_of(operator) == kind


def test_shares_add_up_and_the_largest_comes_first():
    a, rows = torch.randn(300, 300), torch.zeros(50, dtype=torch.int64)

    def step():
        for _ in range(3):
            (a @ a).index_select(0, rows).exp()

    parts = breakdown.time_parts(step, device=torch.device("cpu"))
    assert sum(part.share for part in parts) == pytest.approx(1)
    assert [part.ms for part in parts] == sorted((part.ms for part in parts), reverse=True)
    kinds = {part.kind for part in parts}
    assert {"matrix products", "gather and sum by index", "other operators"} <= kinds
    assert parts[0].kind == "matrix products"

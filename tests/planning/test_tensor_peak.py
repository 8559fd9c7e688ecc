"""Bytes of tensors, counted while something runs."""

import torch

from hydracalc.planning.tensor_peak import tensor_peak


def test_what_is_freed_makes_room():
    def one_after_the_other():
        for _ in range(10):
            torch.ones(1000)

    assert tensor_peak(one_after_the_other) == 4000


def test_what_is_kept_adds_up():
    assert tensor_peak(lambda: [torch.ones(1000) for _ in range(10)]) == 40_000


def test_views_and_changes_in_place_take_nothing():
    given = torch.ones(1000)

    def look():
        return given.view(10, 100)[3].add_(1.0), given.mul_(2.0)

    assert tensor_peak(look) == 0


def test_what_the_backward_pass_needs_is_seen():
    weights = torch.ones(100, requires_grad=True)

    def run():
        hidden = weights.exp().exp()  # both results are needed for the gradient
        hidden.sum().backward()

    assert tensor_peak(run) >= 2 * 400

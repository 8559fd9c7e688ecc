"""Sums of errors are divided once, whatever the parts they came in."""

import pytest
import torch

from hydracalc.training.error_sums import ErrorSums


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_sums_are_divided_once():
    """Ten small errors and one large in two parts give the mean of eleven, not of two means."""
    errors = ErrorSums()
    errors.add(torch.ones(5, 2, dtype=torch.float64), torch.zeros(5, 2), torch.zeros(5).long())
    errors.add(column(-12.0), column(0.0), torch.tensor([0]))
    assert errors.mae.item() == pytest.approx(2)
    assert errors.rmse.item() == pytest.approx((154 / 11) ** 0.5)
    assert errors.bias.item() == pytest.approx(-2 / 11)
    assert ErrorSums().mae.isnan().all()


def test_groups_are_apart_and_absent_labels_count_nowhere():
    errors = ErrorSums(3)
    errors.add(column(1.0, 2.0, 5.0), column(0.0, float("nan"), 1.0), torch.tensor([2, 2, 0]))
    assert errors.count.tolist() == [1, 0, 1]
    assert errors.mae[[0, 2]].tolist() == [4, 1]


def test_a_prediction_that_is_no_number_shows():
    errors = ErrorSums()
    errors.add(column(float("nan"), 1.0), column(0.0, 1.0), torch.tensor([0, 0]))
    assert errors.mae.isnan().all()


def test_sums_of_others_are_taken_in_by_group():
    whole, part = ErrorSums(3), ErrorSums(2)
    part.add(column(1.0, -3.0), column(0.0, 0.0), torch.tensor([0, 1]))
    for _ in range(2):
        whole.absorb(part, [2, 0])
    assert whole.count.tolist() == [2, 0, 2]
    assert whole.bias[[0, 2]].tolist() == [-3, 1]

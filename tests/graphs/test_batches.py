"""Batches keep to their budget and lose no structure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydracalc.graphs.batches import budget_batches


@settings(deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 900)), max_size=40),
    max_atoms=st.none() | st.integers(1, 100),
    max_edges=st.none() | st.integers(1, 2000),
    data=st.data(),
)
def test_batches_are_full_within_budget_and_in_order(sizes, max_atoms, max_edges, data):
    num_atoms, num_edges = np.array(sizes, dtype=int).reshape(-1, 2).T
    order = np.array(data.draw(st.permutations(range(len(sizes)))), dtype=int)
    batches = budget_batches(
        num_atoms, num_edges, max_atoms=max_atoms, max_edges=max_edges, order=order
    )
    np.testing.assert_array_equal(np.concatenate([order[:0], *batches]), order)

    def fits(batch):
        return (max_atoms is None or num_atoms[batch].sum() <= max_atoms) and (
            max_edges is None or num_edges[batch].sum() <= max_edges
        )

    assert all(fits(batch) or len(batch) == 1 for batch in batches)
    for batch, following in zip(batches, batches[1:], strict=False):
        assert not fits(np.append(batch, following[0]))  # no batch ends early


def test_a_structure_above_the_budget_is_alone():
    batches = budget_batches(np.array([2, 50, 2, 2]), max_atoms=10)
    assert [batch.tolist() for batch in batches] == [[0], [1], [2, 3]]


def test_without_limits_there_is_one_batch():
    assert [b.tolist() for b in budget_batches(np.array([3, 4]))] == [[0, 1]]
    assert budget_batches(np.array([], dtype=int), max_atoms=3) == []


def test_an_impossible_budget_is_refused():
    with pytest.raises(ValueError, match="max_atoms is 0, expected at least 1"):
        budget_batches(np.array([3]), max_atoms=0)
    with pytest.raises(ValueError, match="max_edges needs num_edges"):
        budget_batches(np.array([3]), max_edges=5)

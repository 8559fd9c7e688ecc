"""Draws have the shares that p ~ n^alpha gives, and follow from seed and epoch alone."""

import numpy as np
import pytest

from hydracalc.parallel.mesh import Group
from hydracalc.training.balance import BalanceConfig, Balancer
from hydracalc.training.sampler import (
    BranchSampler,
    BranchShare,
    SamplerConfig,
    TrainingSet,
    prefetch,
)

NAMES = ("metals", "clusters")


@pytest.fixture
def structures(two_sets):
    return [*two_sets[0], *two_sets[1]]


@pytest.fixture
def data(structures):
    return TrainingSet(structures, branch_names=NAMES, cutoff=4.0)


def sampler(data, weights=(1.0, 1.0), parts=((), ()), **config):
    branches = [BranchShare(share=w, parts=p) for w, p in zip(weights, parts, strict=True)]
    return BranchSampler(data, branches=branches, config=SamplerConfig(**config))


def cut(one, epoch):
    """Batches of an epoch, as one process makes them."""
    everything = Group(branches=tuple(range(len(NAMES))), ranks=(0,))
    balancer = Balancer(one.data, groups=[everything], config=BalanceConfig())
    config = one.config
    budget = {"max_atoms": config.max_atoms, "max_edges": config.max_edges}
    return balancer.cut(one.draws(epoch), **budget, seed=config.seed, epoch=epoch)


@pytest.mark.parametrize(("alpha", "weights"), [(1.0, (1, 1)), (0.5, (1, 1)), (0.0, (1, 3))])
def test_branches_have_their_shares(data, alpha, weights):
    sizes = np.array([18, 12])
    shares = np.array(weights) * sizes**alpha
    expected = shares / shares.sum() * 30
    drawn = np.bincount(data.branch_index[sampler(data, weights, alpha=alpha).draws(0)])
    assert drawn.sum() == 30
    assert np.abs(drawn - expected).max() < 1


def test_with_alpha_one_an_epoch_sees_every_structure_once(data):
    assert sorted(sampler(data, alpha=1.0).draws(3)) == list(range(30))


def test_within_a_branch_none_comes_twice_before_all_came_once(data):
    draws = sampler(data, weights=(1, 6), alpha=1.0).draws(0)
    counts = np.bincount(draws, minlength=30)[data.branch_index == 1]
    assert counts.max() - counts.min() <= 1
    assert counts.max() > 1


def test_parts_share_what_their_branch_has(data):
    plain = np.bincount(sampler(data, alpha=1.0).draws(0), minlength=30)
    parted = sampler(data, alpha=1.0, parts=(((3, 5.0), (15, 1.0)), ()))
    draws = [parted.draws(epoch) for epoch in range(4)]
    metals = np.flatnonzero(data.branch_index == 0)
    drawn = sum(np.bincount(some, minlength=30) for some in draws)
    assert drawn[metals].sum() == 4 * plain[metals].sum()
    assert drawn[metals[:3]].sum() == 4 * 9  # 3 * 5 of 3 * 5 + 15, of 18 an epoch
    assert np.ptp(drawn[metals[:3]]) <= 1
    assert np.ptp(drawn[metals[3:]]) <= 1


def test_parts_that_are_not_the_branch_are_refused(data):
    with pytest.raises(ValueError, match=r"parts of a branch have \[3, 16\] .* not its 18"):
        sampler(data, parts=(((3, 5.0), (16, 1.0)), ()))


def test_the_order_follows_from_seed_and_epoch(data):
    first, again = sampler(data, seed=4), sampler(data, seed=4)
    assert np.array_equal(first.draws(2), again.draws(2))
    assert not np.array_equal(first.draws(2), first.draws(3))
    assert not np.array_equal(first.draws(2), sampler(data, seed=5).draws(2))


def test_batches_keep_the_budget_and_the_order(data):
    one = sampler(data, max_atoms=20, max_edges=500)
    batches = cut(one, 1)
    assert np.array_equal(np.concatenate(batches), one.draws(1))
    for batch in batches:
        assert data.num_atoms[batch].sum() <= 20 or len(batch) == 1
        assert data.num_edges[batch].sum() <= 500 or len(batch) == 1


def test_prefetched_graphs_are_the_batches(data, structures):
    batches = cut(sampler(data, max_atoms=20), 0)
    graphs = list(prefetch(data, batches))
    assert len(graphs) == len(batches)
    for graph, batch in zip(graphs, batches, strict=True):
        assert graph.names == tuple(structures[i].source for i in batch)
        assert graph.num_edges == data.num_edges[batch].sum()


def test_prefetching_starts_anywhere(data):
    assert list(prefetch(data, [])) == []
    assert len(list(prefetch(data, [np.array([0])]))) == 1


def test_wrong_settings_are_refused(data):
    with pytest.raises(ValueError, match="alpha must be from 0 to 1"):
        SamplerConfig(alpha=2)
    with pytest.raises(ValueError, match="at least one structure"):
        TrainingSet([], branch_names=NAMES, cutoff=4.0)

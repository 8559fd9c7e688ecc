"""Every structure is computed once, steps follow from the seed, and ranks wait little."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydracalc.graphs.batches import budget_batches
from hydracalc.parallel.mesh import Group, MeshConfig, lay_out
from hydracalc.training.balance import (
    METHODS,
    BalanceConfig,
    Balancer,
    CostModel,
    divide,
    fit_cost,
)
from hydracalc.training.sampler import TrainingSet

BUDGET = {"max_atoms": 192, "max_edges": 9000}
EDGES_ALONE = CostModel(per_atom=0.0, per_edge=1.0, per_structure=0.0)


@dataclass(frozen=True)
class Sized:
    """Sizes without structures."""

    num_atoms: np.ndarray
    num_edges: np.ndarray
    branch_index: np.ndarray


def mixture(count, seed=0):
    """Molecules of like size, small cells, and cells of all sizes with some very large ones."""
    rng = np.random.default_rng(seed)
    branch = rng.choice(3, count, p=[0.5, 0.3, 0.2])
    atoms = np.where(
        branch == 0, rng.integers(9, 25, count), np.exp(rng.normal(2.7, 0.9, count)).astype(int) + 1
    )
    atoms = np.minimum(atoms, 200)
    return Sized(atoms, (atoms * rng.uniform(10, 60, count)).astype(int), branch)


def one_group(ranks, branches=3):
    return (Group(branches=tuple(range(branches)), ranks=tuple(range(ranks))),)


def uneven_groups():
    return (
        Group(branches=(1,), ranks=(0, 1)),
        Group(branches=(0, 2), ranks=(2, 3, 4)),
    )


def balancer(data, groups, method="greedy", **settings):
    config = BalanceConfig(cut=method, divide=method, **settings)
    return Balancer(data, groups=groups, config=config)


def idle(balanced, steps):
    work = np.array([[balanced.cost[p].sum() for p in balanced.divide(step)] for step in steps])
    return 1 - work.sum() / (work.shape[1] * work.max(axis=1).sum())


@pytest.mark.parametrize("method", METHODS)
@given(count=st.integers(0, 60), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_each_structure_goes_to_one_rank_of_its_branch(method, count, seed):
    data, groups = mixture(count, seed), uneven_groups()
    parts = divide(data.num_edges, data.branch_index, groups=groups, method=method, turn=seed)
    assert len(parts) == 5
    assert sorted(np.concatenate(parts)) == list(range(count))
    for group in groups:
        for rank in group.ranks:
            assert set(data.branch_index[parts[rank]]) <= set(group.branches)
            assert (np.diff(parts[rank]) > 0).all()


def test_the_greedy_rule_is_that_of_graham():
    """His worst case: 5, 5, 4, 4, 3, 3, 3 on three ranks makes 11 where 9 is possible."""
    cost = np.array([3.0, 5, 4, 3, 4, 5, 3])
    parts = divide(cost, np.zeros(7, dtype=int), groups=one_group(3), method="greedy")
    assert sorted(cost[part].sum() for part in parts) == [8, 8, 11]


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_greedy_division_is_within_one_structure_of_equal(ranks):
    """The costliest rank was the least filled one when its last structure came."""
    data = mixture(40 * ranks)
    parts = divide(data.num_edges, data.branch_index, groups=one_group(ranks), method="greedy")
    loads = [data.num_edges[part].sum() for part in parts]
    last = data.num_edges[parts[int(np.argmax(loads))]].min()
    assert max(loads) - last <= min(loads)
    assert max(loads) <= 4 / 3 * max(np.mean(loads), data.num_edges.max())


def test_dealing_by_turns_gives_equal_numbers():
    for method in ("random", "sorted"):
        parts = divide(np.arange(14.0), np.zeros(14, int), groups=one_group(4), method=method)
        assert {len(part) for part in parts} == {3, 4}
    assert sorted(parts[0]) == [5, 6, 13]  # there and back: places 0, 7, 8 from the costliest


def test_the_turn_moves_parts_within_a_group_only():
    data, groups = mixture(50), uneven_groups()
    first, second = (
        divide(data.num_edges, data.branch_index, groups=groups, method="greedy", turn=turn)
        for turn in (0, 1)
    )
    assert [p.tolist() for p in second] == [first[rank].tolist() for rank in (1, 0, 4, 2, 3)]


def test_ranks_without_structures_have_empty_parts():
    data = mixture(3)
    for method in METHODS:
        parts = divide(data.num_edges, data.branch_index, groups=one_group(8), method=method)
        assert sorted(len(part) for part in parts) == [0] * 5 + [1] * 3
        assert all(part.dtype.kind == "i" for part in parts)
        empty = divide(np.zeros(0), np.zeros(0, int), groups=uneven_groups(), method=method)
        assert [len(part) for part in empty] == [0] * 5


@pytest.mark.parametrize("groups", [one_group(4), uneven_groups()], ids=["one group", "two"])
@pytest.mark.parametrize("method", METHODS)
@given(count=st.integers(1, 400), seed=st.integers(0, 5), window=st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_an_epoch_has_every_draw_once_and_no_empty_step(method, groups, count, seed, window):
    data = mixture(count, seed)
    draws = np.random.default_rng(seed).integers(0, count, count)  # some come twice
    balanced = balancer(data, groups, method, window=window, bins=1 + window % 4)
    steps = balanced.cut(draws, **BUDGET, seed=seed, epoch=2)
    assert sorted(np.concatenate(steps)) == sorted(draws)
    assert all(len(step) for step in steps)
    parts = [balanced.divide(step) for step in steps]
    assert {len(each) for each in parts} == {balanced.world_size}  # as many steps for each rank
    assert sorted(np.concatenate([p for each in parts for p in each])) == sorted(draws)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_drawn_is_no_step(method):
    none = np.zeros(0, dtype=int)
    assert balancer(mixture(5), one_group(2), method).cut(none, **BUDGET, seed=0, epoch=0) == []


@pytest.mark.parametrize("method", METHODS)
def test_steps_follow_from_seed_epoch_and_world_size(method):
    data = mixture(2000)
    draws = np.random.default_rng(1).permutation(2000)

    def steps(ranks=4, seed=0, epoch=0):
        made = balancer(data, one_group(ranks), method, window=8)
        return [s.tolist() for s in made.cut(draws, **BUDGET, seed=seed, epoch=epoch)]

    assert steps() == steps()
    assert steps(ranks=5) != steps()
    if method != "random":  # whose order is that of the draws
        assert steps(seed=1) != steps()
        assert steps(epoch=1) != steps()


def test_random_steps_are_the_batches_of_one_process():
    """With a budget for all ranks together, so that training does not depend on their number."""
    data = mixture(500)
    draws = np.random.default_rng(2).permutation(500)
    made = balancer(data, one_group(3), "random").cut(draws, **BUDGET, seed=0, epoch=0)
    expected = budget_batches(
        data.num_atoms, data.num_edges, max_atoms=576, max_edges=27000, order=draws
    )
    assert [s.tolist() for s in made] == [s.tolist() for s in expected]


def test_packing_keeps_draws_in_their_window_and_the_number_of_steps():
    data = mixture(4000)
    draws = np.random.default_rng(3).permutation(4000)
    drawn, packed = (
        balancer(data, one_group(4), method, window=8).cut(draws, **BUDGET, seed=0, epoch=0)
        for method in ("random", "greedy")
    )
    assert len(drawn) == len(packed)
    ends = np.linspace(0, len(drawn), round(len(drawn) / 8) + 1)
    moved = [abs(a - b) for a, b in zip(_step_of(drawn), _step_of(packed), strict=True)]
    assert max(moved) <= np.ceil(np.diff(ends).max())
    assert max(moved) > 0


def _step_of(steps):
    step = np.empty(sum(len(s) for s in steps), dtype=int)
    for number, members in enumerate(steps):
        step[members] = number
    return step


def test_packed_steps_have_their_share_of_every_branch():
    """Not only of the cost: a step is a mixture still, or its gradient would be of one dataset."""
    data = mixture(6000)
    draws = np.random.default_rng(4).permutation(6000)
    share = np.bincount(data.branch_index, data.num_edges) / data.num_edges.sum()

    def farthest(method):
        made = balancer(data, one_group(16), method, cost=EDGES_ALONE)
        steps = made.cut(draws, **BUDGET, seed=0, epoch=0)
        return max(
            np.abs(
                np.bincount(data.branch_index[s], data.num_edges[s], 3) / data.num_edges[s].sum()
                - share
            ).max()
            for s in steps
        )

    assert farthest("greedy") < 0.15
    assert farthest("sorted") > 0.3  # what it costs to sort


def test_packing_waits_least_and_dealing_by_turns_most():
    """On 32 ranks, where a random step nearly always has a structure that is too large."""
    data = mixture(20000)
    draws = np.random.default_rng(5).permutation(20000)

    def waits(cut, dealt):
        config = BalanceConfig(cut=cut, divide=dealt, cost=EDGES_ALONE)
        made = Balancer(data, groups=one_group(32), config=config)
        return idle(made, made.cut(draws, **BUDGET, seed=0, epoch=0))

    packed, dealt = waits("greedy", "greedy"), waits("random", "greedy")
    assert packed < 0.03
    assert packed < dealt / 3 < waits("random", "random") / 3
    assert waits("sorted", "sorted") < waits("random", "sorted")


def test_steps_cost_the_same_where_nothing_is_too_large():
    """Over steps, too: the last of a random epoch is what was left."""
    data = mixture(3000)
    small = Sized(
        *(x[data.num_atoms < 25] for x in (data.num_atoms, data.num_edges, data.branch_index))
    )
    draws = np.random.default_rng(6).permutation(len(small.num_atoms))
    spread = {}
    for method in METHODS:
        made = balancer(small, one_group(4), method)
        cost = [made.cost[s].sum() for s in made.cut(draws, **BUDGET, seed=0, epoch=0)]
        spread[method] = max(cost) / min(cost) - 1
    assert spread["greedy"] < 0.15
    assert spread["greedy"] < spread["random"] / 2


def test_groups_are_balanced_as_their_ranks_allow():
    """One branch a group: what is left is that numbers of ranks are whole."""
    data = mixture(8000)
    cost = CostModel().cost(data.num_atoms, data.num_edges)
    groups = lay_out(
        np.bincount(data.branch_index, cost).tolist(), 24, MeshConfig(layout="multitask")
    )
    made = balancer(data, groups)
    steps = made.cut(np.random.default_rng(7).permutation(8000), **BUDGET, seed=0, epoch=0)
    loads = np.bincount(made.group_of, made.cost) / [len(g.ranks) for g in groups]
    best = 1 - made.cost.sum() / (24 * loads.max())
    assert best <= idle(made, steps) < best + 0.1


def test_a_training_set_can_be_balanced(two_sets):
    data = TrainingSet(
        [*two_sets[0], *two_sets[1]], branch_names=("metals", "clusters"), cutoff=4.0
    )
    groups = lay_out([18, 12], 3, MeshConfig(layout="multitask"))
    made = balancer(data, groups)
    steps = made.cut(np.arange(30), max_atoms=20, max_edges=900, seed=0, epoch=0)
    assert sorted(np.concatenate(steps)) == list(range(30))
    for step in steps:
        for rank, part in enumerate(made.divide(step)):
            branches = set(data.branch_index[part])
            assert branches <= ({0} if rank in groups[0].ranks else {1})


def test_a_cost_model_is_found_from_times():
    rng = np.random.default_rng(8)
    work = np.column_stack(
        [rng.integers(50, 400, 30), rng.integers(900, 9000, 30), rng.integers(3, 30, 30)]
    )
    seconds = work @ [3e-5, 5e-6, 0.0] + 0.004
    found = fit_cost(work, seconds * np.exp(rng.normal(0, 0.01, 30)))
    assert found.per_edge == pytest.approx(5e-6, rel=0.05)
    assert found.per_atom == pytest.approx(3e-5, rel=0.2)
    assert found.per_structure < 3e-5
    assert found.per_step == pytest.approx(0.004, rel=0.3)


def test_a_cost_that_would_be_negative_is_left_out():
    work = np.array([[10, 100, 1], [20, 100, 2], [30, 300, 2], [40, 300, 9], [50, 700, 3]])
    found = fit_cost(work, work @ [-1e-6, 1e-5, 1e-5])
    assert found.per_atom == 0
    assert found.per_edge > 0


def test_wrong_settings_are_refused():
    data = mixture(10)
    with pytest.raises(ValueError, match="unknown balance 'gready'.*greedy"):
        BalanceConfig(cut="gready")
    with pytest.raises(ValueError, match="unknown balance"):
        divide(np.ones(1), np.zeros(1, int), groups=one_group(1), method="all")
    with pytest.raises(ValueError, match="window is 0"):
        BalanceConfig(window=0)
    with pytest.raises(ValueError, match="no cost may be negative"):
        CostModel(per_edge=-1.0)
    with pytest.raises(ValueError, match="must be positive"):
        CostModel(per_atom=0, per_edge=0, per_structure=0)
    with pytest.raises(ValueError, match="3 step times"):
        fit_cost(np.ones((3, 3)), np.ones(3))
    with pytest.raises(ValueError, match="branch [12] is in no group"):
        balancer(data, one_group(2, branches=1))
    twice = (Group(branches=(0, 1, 2), ranks=(0,)), Group(branches=(0,), ranks=(1,)))
    with pytest.raises(ValueError, match="branch 0 is in two groups"):
        balancer(data, twice)
    with pytest.raises(ValueError, match="expected each of 0..R-1"):
        balancer(data, (Group(branches=(0, 1, 2), ranks=(0, 2)),))

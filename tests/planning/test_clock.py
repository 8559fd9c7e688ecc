"""Simulated steps against the analytic model, and in their limits."""

from dataclasses import replace

import pytest
from planning.costs import make_model

from hydracalc.planning.clock import ClockConfig, simulate
from hydracalc.planning.layouts import Model
from hydracalc.planning.split import efficiencies


def of_equal_structures(model: Model) -> Model:
    """The same with all structures of a branch of one size."""
    branches = [replace(b, atoms_spread=0.0) for b in model.workload.branches]
    workload = replace(model.workload, branches=tuple(branches))
    return replace(model, workload=workload)


def test_one_rank_sums_nothing_and_waits_for_nobody():
    (row,) = simulate(make_model(), "base", [1])
    assert row.collective_s == row.idle_s == 0
    assert row.source == "simulated"


@pytest.mark.parametrize("layout", ["base", "multitask"])
def test_equal_structures_take_what_the_model_says(layout):
    model = of_equal_structures(make_model())
    (row,) = simulate(model, layout, [40], config=ClockConfig(steps=4))
    groups = model.groups(layout, 40)
    split = model.split(layout, groups, row.structures)
    assert row.step_s == pytest.approx(split.step_s, rel=0.1)
    assert row.collective_s == pytest.approx(split.collective_s)


def test_dealing_evenly_waits_less():
    model = make_model()
    turns, balanced = (
        simulate(model, "base", [64], config=ClockConfig(dealing=dealing))[0]
        for dealing in ("turns", "balanced")
    )
    assert balanced.idle_s < 0.5 * turns.idle_s
    assert balanced.compute_s == pytest.approx(turns.compute_s, rel=0.05)


def test_strong_scaling_shares_one_batch_and_loses_more():
    model = make_model()
    counts = [1, 8, 64, 512]
    weak, strong = (simulate(model, "base", counts, scaling=s) for s in ("weak", "strong"))
    assert len({row.structures for row in strong}) == 1
    assert weak[-1].structures == pytest.approx(512 * weak[0].structures)
    # on the most ranks both have the same batch
    assert strong[-1].structures == pytest.approx(weak[-1].structures)
    assert efficiencies(strong)[-1] < efficiencies(strong)[0] == 1


def test_a_seed_decides_everything():
    first, again, other = (
        simulate(make_model(), "hybrid", [16], config=ClockConfig(seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_numbers_of_ranks_that_are_too_few_are_left_out():
    rows = simulate(make_model(), "multitask", [1, 2, 4, 8])
    assert [row.ranks for row in rows] == [4, 8]


def test_thousands_of_ranks_are_simulated_in_seconds():
    (row,) = simulate(make_model(), "multitask", [2048], config=ClockConfig(steps=1))
    assert row.ranks == 2048
    assert row.idle_s > 0


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        simulate(make_model(), "base", [])
    with pytest.raises(ValueError, match="at least 1 step"):
        ClockConfig(steps=0)
    with pytest.raises(ValueError, match="'turns' or 'balanced'"):
        ClockConfig(dealing="by hand")


def test_no_structure_is_larger_than_the_largest():
    """One that large on one rank is waited for by all."""
    model = make_model()
    branches = tuple(replace(b, atoms_spread=20.0) for b in model.workload.branches)
    bounded = tuple(replace(b, most_atoms=40.0) for b in branches)
    free, less = (
        simulate(replace(model, workload=replace(model.workload, branches=b)), "base", [64])[0]
        for b in (branches, bounded)
    )
    assert less.idle_s < 0.7 * free.idle_s

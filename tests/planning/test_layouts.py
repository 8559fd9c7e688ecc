"""Memory, time and choice of layouts: limits, monotony, and what is refused."""

import pytest
from planning.costs import make_calibration, make_model, make_workload

from hydracalc.models.hydra import HydraConfig
from hydracalc.planning.layouts import Machine, num_hybrid_groups, plan
from hydracalc.planning.networks import NETWORKS, Network


def by_name(found):
    return {each.layout: each for each in found.layouts}


def test_one_rank_sums_nothing_and_waits_for_nobody():
    split = by_name(plan(make_model(), 1))["base"].split
    assert split.collective_s == split.idle_s == split.data_s == 0
    assert split.step_s == split.compute_s > 0


def test_a_rank_of_multitask_holds_one_branch():
    model = make_model()
    found = by_name(plan(model, 10))
    base, multitask = found["base"].memory, found["multitask"].memory
    assert base.gradients == 4 * (model.size.encoder + 4 * model.size.branch)
    assert multitask.gradients == 4 * (model.size.encoder + model.size.branch)
    assert multitask.model < found["hybrid"].memory.model < base.model


def test_layouts_that_need_more_ranks_are_named():
    found = plan(make_model(), 2)
    assert "4 groups of 4 branches, but there are 2 ranks" in found.impossible["multitask"]
    assert set(by_name(found)) == {"base", "hybrid"}


def test_groups_that_fit_their_data_do_not_wait():
    """Shares of 0.4, 0.3, 0.2 and 0.1 are whole on ten ranks, not on seven."""
    found = {n: by_name(plan(make_model(), n))["multitask"].split for n in (7, 10)}
    assert found[10].idle_s == pytest.approx(0, abs=1e-12)
    assert found[7].idle_s > 0.05 * found[7].compute_s


def test_the_whole_step_is_as_long_as_the_slowest_group():
    model = make_model()
    groups = model.groups("multitask", 7)
    split = model.split("multitask", groups, 140.0)
    loads = model.loads(groups, 140.0)
    times = [model.compute(a, e, present=1, held=1) for _, a, e in loads]
    assert split.compute_s + split.idle_s == pytest.approx(max(times))
    assert loads[:, 0] @ [len(group.ranks) for group in groups] == pytest.approx(140.0)


def test_more_ranks_do_more_a_second_but_less_each():
    rates = [by_name(plan(make_model(), n))["base"].split for n in (1, 2, 8, 64, 1024)]
    whole = [split.structures_per_s for split in rates]
    each = [split.structures_per_s / split.ranks for split in rates]
    assert whole == sorted(whole)
    assert each == sorted(each, reverse=True)
    assert each[-1] < each[0]


def test_a_free_network_scales_perfectly():
    free = Machine(network=Network(name="free", alpha=0.0, beta=0.0, source=""))
    one, many = (by_name(plan(make_model(machine=free), n))["base"].split for n in (1, 512))
    assert many.structures_per_s == pytest.approx(512 * one.structures_per_s)


def test_sums_hide_behind_computing():
    slow = Machine(network=NETWORKS["gloo"])
    hidden = Machine(network=NETWORKS["gloo"], overlap=1.0)
    open_, covered = (by_name(plan(make_model(machine=m), 8))["base"].split for m in (slow, hidden))
    assert covered.collective_s < open_.collective_s


def test_a_faster_rank_still_starts_its_operations():
    fast = make_model(machine=Machine(flops_per_s=1e16))
    assert fast.speed == pytest.approx(1e6)
    seconds = fast.compute(100, 2000, present=2, held=4)
    assert seconds == pytest.approx(1e-3 + 2e-4, rel=1e-3)


def test_structures_are_shared_by_the_ranks_of_a_copy():
    shared = by_name(plan(make_model(), 8))["base"].memory
    alone = by_name(plan(make_model(machine=Machine(width=1)), 8))["base"].memory
    assert alone.structures == pytest.approx(8 * shared.structures, rel=1e-3)
    assert alone.neighbors == pytest.approx(8 * shared.neighbors, rel=1e-3)


def test_what_does_not_fit_is_not_chosen():
    heads = HydraConfig(encoder="painn", num_channels=16, num_layers=2, head_widths=(600, 600))
    free = plan(make_model(model=heads), 10)
    needed = {each.layout: each.memory.device for each in free.layouts}
    assert needed["multitask"] < needed["base"]
    between = (needed["multitask"] + needed["hybrid"]) / 2
    tight = plan(make_model(model=heads, machine=Machine(device_memory=between)), 10)
    assert tight.choice == "multitask"
    assert "GB of device memory" in by_name(tight)["base"].problem
    assert "base needs" in tight.reason
    none = plan(make_model(machine=Machine(device_memory=1.0)), 10)
    assert none.choice is None
    assert none.reason.startswith("no layout fits")
    crowded = plan(make_model(machine=Machine(host_memory=1.0)), 10)
    assert "host memory" in by_name(crowded)["base"].problem


def test_of_equals_the_simplest_is_taken():
    cheap = make_calibration(branch_s=0.0, touch_s=0.0)
    free = Machine(network=Network(name="free", alpha=0.0, beta=0.0, source=""))
    assert plan(make_model(calibration=cheap, machine=free), 10).choice == "base"


def test_branches_that_cost_to_hold_are_spread():
    dear = make_calibration(branch_s=5e-3)
    assert plan(make_model(calibration=dear), 10).choice == "multitask"


def test_graphs_that_take_longer_than_a_step_are_waited_for():
    slow = make_calibration(graph_s=1.0)
    split = by_name(plan(make_model(calibration=slow), 1))["base"].split
    assert split.step_s == pytest.approx(200.0)
    assert split.data_s > 0


def test_the_budget_that_is_used_up_first_counts():
    assert make_workload().structures_per_rank() == pytest.approx(20)
    assert make_workload(max_edges=1000).structures_per_rank() == pytest.approx(5)


@pytest.mark.parametrize(
    ("branches", "ranks", "groups"), [(16, 64, 4), (5, 64, 2), (2, 8, 2), (4, 1, 1), (1, 8, 1)]
)
def test_hybrid_groups_are_about_the_root_of_the_branches(branches, ranks, groups):
    assert num_hybrid_groups(branches, ranks) == groups


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="ranks is 0"):
        plan(make_model(), 0)
    with pytest.raises(ValueError, match="overlap is 2"):
        Machine(overlap=2.0)
    with pytest.raises(ValueError, match="device_memory is 0"):
        Machine(device_memory=0.0)
    with pytest.raises(ValueError, match="width is -1"):
        Machine(width=-1)
    with pytest.raises(ValueError, match="num_layers 3, the recipe has 2"):
        make_model(calibration=make_calibration(num_layers=3))

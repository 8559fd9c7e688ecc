"""Branches and ranks are laid out in proportion to data; sums reach exactly who takes part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydracalc.parallel.mesh import Group, MeshConfig, alone, lay_out, shared_out

SIZES = [5_000_000, 4_000_000, 9_600_000, 1_580_000, 4_500_000]


def ranks_of(groups):
    return [rank for group in groups for rank in group.ranks]


def test_base_has_every_branch_on_every_rank():
    assert lay_out(SIZES, 3, MeshConfig()) == (Group(branches=(0, 1, 2, 3, 4), ranks=(0, 1, 2)),)


def test_multitask_gives_each_branch_ranks_in_proportion_to_its_data():
    groups = lay_out(SIZES, 1920, MeshConfig(layout="multitask"))
    by_branch = {group.branches[0]: len(group.ranks) for group in groups}
    exact = np.array(SIZES) / sum(SIZES) * 1920
    assert [by_branch[b] for b in range(5)] == pytest.approx(exact, abs=1.5)
    assert ranks_of(groups) == list(range(1920))


def test_multitask_needs_a_rank_for_each_branch():
    groups = lay_out([100, 1, 1], 3, MeshConfig(layout="multitask"))
    assert [len(group.ranks) for group in groups] == [1, 1, 1]
    with pytest.raises(ValueError, match="5 groups of 5 branches, but there are 4 ranks"):
        lay_out(SIZES, 4, MeshConfig(layout="multitask"))


def test_hybrid_puts_several_branches_on_a_rank():
    groups = lay_out(SIZES, 2, MeshConfig(layout="hybrid"))
    assert sorted(b for group in groups for b in group.branches) == [0, 1, 2, 3, 4]
    loads = [sum(SIZES[b] for b in group.branches) for group in groups]
    assert max(loads) < 1.25 * min(loads)
    assert [len(group.ranks) for group in groups] == [1, 1]


def test_hybrid_of_three_groups_shares_ranks_by_load():
    groups = lay_out([8, 1, 1, 2], 6, MeshConfig(layout="hybrid", num_groups=3))
    assert [group.branches for group in groups] == [(0,), (3,), (1, 2)]
    assert [len(group.ranks) for group in groups] == [4, 1, 1]


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=8),
    st.integers(0, 40),
)
def test_every_group_has_a_rank_and_no_rank_is_lost(loads, more):
    counts = shared_out(loads, len(loads) + more)
    assert sum(counts) == len(loads) + more
    assert min(counts) >= 1
    heavier = np.argsort(loads, kind="stable")
    ordered = np.array(counts)[heavier]
    assert (np.diff(ordered) >= -1).all()  # equal loads may differ by one


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"layout": "multi"}, "unknown layout 'multi'"),
        ({"num_groups": 2}, "num_groups is 2 with layout 'base'"),
        ({"layout": "hybrid", "num_groups": -1}, "num_groups is -1"),
    ],
)
def test_a_layout_without_sense_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        MeshConfig(**config)


def test_one_process_needs_no_communication():
    mesh = alone(3)
    assert (mesh.rank, mesh.size, mesh.is_root, mesh.is_first) == (0, 1, True, True)
    assert mesh.group.branches == (0, 1, 2)
    assert mesh.gather("x") == mesh.all_gather("x") == ["x"]
    assert mesh.share(5) == 5


SCRIPT = """
import os, sys, time
import torch
from hydracalc.parallel import launch
from hydracalc.parallel.mesh import BranchMesh, MeshConfig, lay_out

def say(text):
    os.write(1, (text + chr(10)).encode())

started = launch.start()
groups = lay_out({loads}, 4, MeshConfig(layout="multitask"))
mesh = BranchMesh(groups, timeout={timeout})
r = mesh.rank
"""

SUMS = """
world = torch.full((2, 3), float(r), dtype=torch.float64)
mesh.sum_over_world(world)
assert world.eq(6).all()
own = torch.tensor([10.0 + r], dtype=torch.float64)
begun = mesh.begin_sum_over_group(own)
both = torch.tensor([float(r == 0)])
mesh.wait_for([mesh.begin_sum_over_world(both), begun])
assert both.item() == 1
assert own.item() == sum(10 + rank for rank in mesh.group.ranks), own
assert mesh.share(r * 7 + 1) == 1
assert mesh.all_gather(r) == [0, 1, 2, 3]
assert mesh.gather(r) == ([0, 1, 2, 3] if r == 0 else None)
names = mesh.device_mesh and mesh.device_mesh.mesh_dim_names
say(f"{mesh.group.branches} {mesh.group.ranks} {mesh.is_first} {names}")
launch.stop(started)
"""

# the first rank waits for the others of its group, who come when it has given up
STALL = """
tensor = torch.ones(3)
if r == 0:
    try:
        mesh.sum_over_group(tensor)
    except RuntimeError as error:
        assert "imed out" in str(error), error
        say(f"gave up at {tensor.tolist()}")
mesh.share(None)
if r in mesh.groups[0].ranks[1:]:
    mesh.sum_over_group(tensor)
launch.stop(started)
"""

EVEN, UNEVEN = [1.0, 1.0], [3.0, 1.0]


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("loads", "members", "names"),
    [
        (EVEN, [(0, 1), (2, 3)], ("group", "replica")),
        (UNEVEN, [(0, 1, 2), (3,)], None),
    ],
)
def test_sums_reach_the_world_and_the_group(ranks, loads, members, names):
    """Groups of one size are torch's device mesh, others are process groups of their own."""
    result = ranks(SCRIPT.format(loads=loads, timeout=None) + SUMS, 4)
    assert result.returncode == 0, result.stderr
    assert sorted(result.stdout.split("\n")[:-1]) == sorted(
        f"({branch},) {group} {rank == group[0]} {names}"
        for branch, group in enumerate(members)
        for rank in group
    )


@pytest.mark.mpi
@pytest.mark.parametrize("loads", [EVEN, UNEVEN])
def test_a_sum_that_a_peer_does_not_join_ends(ranks, loads):
    result = ranks(SCRIPT.format(loads=loads, timeout=1.0) + STALL, 4)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "gave up at [1.0, 1.0, 1.0]\n"

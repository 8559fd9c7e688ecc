"""What shards hold, as the plan sees them."""

import numpy as np
import pytest
from builders import make_card
from planning.costs import make_workload

from hydracalc.benchmark.training import BRANCH, ELEMENTS, clusters
from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.planning.workload import of_recipe
from hydracalc.recipe import parse_recipe
from hydracalc.shards.writer import ShardWriter


@pytest.fixture
def shards(tmp_path):
    """Shards of twenty random clusters."""
    structures = clusters(20, 12)
    with ShardWriter(tmp_path / BRANCH, card=make_card(BRANCH, tuple(ELEMENTS))) as writer:
        for index, structure in enumerate(structures):
            writer.add(structure, split="train" if index < 18 else "val")
    return structures


def test_shards_are_counted(shards, tmp_path):
    recipe = parse_recipe(
        {
            "name": "small",
            "data_dir": str(tmp_path),
            "branches": [{"name": "bench", "shards": "bench", "share": 2.0}],
        }
    )
    found = of_recipe(recipe)
    (load,) = found.branches
    edges = [len(neighbor_list(s.positions, s.cell, s.pbc, 5.0).senders) for s in shards[:18]]
    assert (load.num_structures, load.atoms, load.atoms_spread, load.share) == (18, 12.0, 0.0, 2.0)
    assert load.most_atoms == 12.0
    assert load.edges == pytest.approx(np.mean(edges))
    assert found.max_atoms == recipe.trainer.sampler.max_atoms


def test_what_the_plan_leaves_aside_is_said(shards, tmp_path):
    branch = {"name": "bench", "shards": "bench", "part_shares": [3.0, 1.0]}
    given = {"name": "small", "data_dir": str(tmp_path), "branches": [branch]}
    assert "part_shares is left aside" in of_recipe(parse_recipe(given)).notes[-1]


def test_draws_follow_data_and_share():
    assert make_workload(sizes=(300, 100)).draws() == pytest.approx([0.75, 0.25])
    assert make_workload(sizes=(300, 100), alpha=0.0).draws() == pytest.approx([0.5, 0.5])


def test_more_data_keeps_the_mix():
    whole = make_workload().with_total(24_000_000)
    assert whole.num_structures == 24_000_000
    assert whole.draws() == pytest.approx(make_workload().draws())
    assert "24,000,000 structures" in whole.notes[-1]
    with pytest.raises(ValueError, match="3 structures for 4 branches"):
        make_workload().with_total(3)

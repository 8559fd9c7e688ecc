"""Graphs of structures that lie in several stores are those of the structures themselves."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from hydracalc.errors import DataError
from hydracalc.graphs.collate import collate
from hydracalc.graphs.neighbor_cache import NeighborCache
from hydracalc.shards.table import from_structures
from hydracalc.store.places import Place
from hydracalc.training.sampler import TrainingSet
from hydracalc.training.structure_set import InMemory, StructureSet

NAMES = ("clusters", "metals")
CUTOFF = 4.0


def made(sets, max_bytes=math.inf, **more):
    sources = [InMemory(from_structures(s[0].branch, s, [0] * len(s))) for s in sets]
    neighbors = NeighborCache(CUTOFF, max_bytes)
    return StructureSet(sources, branch_names=NAMES, neighbors=neighbors, has_stress=True, **more)


def same(one, other):
    for field in fields(one):
        mine, its = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, torch.Tensor):
            assert mine.dtype == its.dtype, field.name
            assert mine.numpy().tobytes() == its.numpy().tobytes(), field.name
            assert mine.shape == its.shape, field.name
        else:
            assert mine == its, field.name


@pytest.mark.parametrize("max_bytes", [0, 5000, math.inf])
def test_a_graph_is_that_of_its_structures_in_the_order_asked_for(two_sets, max_bytes):
    data, structures = made(two_sets, max_bytes), [*two_sets[0], *two_sets[1]]
    branches = {name: number for number, name in enumerate(NAMES)}
    for seed in range(4):
        batch = np.random.default_rng(seed).integers(0, len(data), 1 + 4 * seed)
        expected = collate([structures[i] for i in batch], CUTOFF, branches=branches)
        same(data.graph(batch), expected)
        assert expected.num_edges == data.num_edges[batch].sum()
    assert data.graph(np.array([], dtype=np.int64)) is None
    assert data.branch_index.tolist() == [1] * len(two_sets[0]) + [0] * len(two_sets[1])


def test_a_set_may_have_some_of_the_rows(two_sets):
    structures = [*two_sets[0], *two_sets[1]]
    rows = np.arange(len(structures))[1::3]
    data = made(two_sets, rows=rows)
    assert data.num_atoms.tolist() == [structures[row].num_atoms for row in rows]
    assert data.graph(np.array([2, 0])).names == (structures[7].source, structures[1].source)


def test_structures_at_hand_may_be_mixed(two_sets):
    mixed = [s for pair in zip(*two_sets, strict=False) for s in pair]
    data = TrainingSet(mixed, branch_names=NAMES, cutoff=CUTOFF)
    assert data.has_stress
    assert data.graph(np.arange(5)).names == tuple(s.source for s in mixed[:5])
    assert not TrainingSet(two_sets[1], branch_names=NAMES, cutoff=CUTOFF).has_stress


def test_edges_are_counted_by_ranks_in_parts(two_sets):
    """Each looks at its own structures, and hears of the others."""
    whole = made(two_sets)
    heard = []
    for rank in range(3):

        def gather(own):
            heard.append(own)
            return [own]

        place = Place(rank=rank, size=3, gather=gather)
        made(two_sets, place=place).num_edges  # noqa: B018  # what it tells the others counts
    told = [each for each in heard if each is not None]
    places = np.concatenate([where for where, _ in told])
    assert sorted(places) == list(range(len(whole)))
    assert max(len(where) for where, _ in told) < len(whole) / 2
    for where, counts in told:
        assert np.array_equal(counts, whole.num_edges[where])
    deaf = Place(rank=0, size=2, gather=lambda own: [own, "structure x: no neighbor list"])
    with pytest.raises(DataError, match="rank 1: structure x: no neighbor list"):
        made(two_sets, place=deaf).num_edges  # noqa: B018


def test_bad_structures_are_named(two_sets):
    with pytest.raises(ValueError, match="unknown branch 'metals'"):
        StructureSet(
            [InMemory(from_structures("metals", two_sets[0], [0] * len(two_sets[0])))],
            branch_names=["metal"],
            neighbors=NeighborCache(CUTOFF, 0),
            has_stress=False,
        )
    flat = replace(two_sets[0][0], cell=np.zeros((3, 3)))
    data = made([[flat, *two_sets[0]], two_sets[1]])
    with pytest.raises(ValueError, match=r"structure metal-0: lattice vector 0 is zero"):
        data.num_edges  # noqa: B018

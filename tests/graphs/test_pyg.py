"""Graphs survive the way to torch_geometric and back, and its layers understand them."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from torch_geometric.nn import SimpleConv

from hydracalc.graphs.collate import collate
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.pyg import from_pyg, to_pyg
from hydracalc.structure import from_atoms


@pytest.fixture
def graph():
    return collate([from_atoms(molecule("H2O"), source="water"), from_atoms(bulk("Si"))], 3.0)


def test_a_round_trip_is_equal(graph):
    back = from_pyg(to_pyg(graph))
    for field in fields(AtomicGraph):
        before, after = getattr(graph, field.name), getattr(back, field.name)
        if isinstance(before, torch.Tensor):
            assert after.dtype == before.dtype
            np.testing.assert_array_equal(after, before)
        else:
            assert after == before


def test_optional_fields_may_be_absent(graph):
    bare = replace(graph, energy=None, forces=None, stress=None)
    assert from_pyg(to_pyg(bare)).forces is None


def test_a_convolution_sums_over_the_neighbors(graph):
    data = to_pyg(graph)
    features = torch.arange(graph.num_atoms, dtype=torch.float64)[:, None]
    theirs = SimpleConv(aggr="sum")(features, data.edge_index)
    torch.testing.assert_close(theirs, graph.sum_to_receivers(features[graph.senders]))


def test_foreign_data_is_refused(graph):
    data = to_pyg(graph)
    data.edge_index = data.edge_index.flip(1)
    with pytest.raises(ValueError, match="not sorted by receiver"):
        from_pyg(data)
    data = to_pyg(graph)
    del data.pos
    with pytest.raises(ValueError, match="positions"):
        from_pyg(data)
    del data.edge_index
    with pytest.raises(ValueError, match="no edge_index"):
        from_pyg(data)

"""Graphs to and from torch_geometric, for users of its layers, loaders and explainers."""

from dataclasses import fields

import torch
from torch_geometric.data import Data

from hydracalc.graphs.graph import AtomicGraph

# what differs in name: torch_geometric's convolutions look for these
_PYG_NAMES = {"atomic_numbers": "z", "positions": "pos", "structure_index": "batch"}
_EDGE_ENDS = ("senders", "receivers")


def to_pyg(graph: AtomicGraph) -> Data:
    """The graph as torch_geometric data: `z`, `pos`, `batch`, `edge_index`, the rest by our names.

    `edge_index` is (2, E), the neighbors above the atoms they belong to, so that a convolution with
    the default flow "source_to_target" sums over each atom's neighbors.
    """
    values = {
        _PYG_NAMES.get(field.name, field.name): value
        for field in fields(graph)
        if field.name not in _EDGE_ENDS and (value := getattr(graph, field.name)) is not None
    }
    edge_index = torch.stack([graph.senders, graph.receivers])
    return Data(edge_index=edge_index, num_nodes=graph.num_atoms, **values)


def from_pyg(data: Data) -> AtomicGraph:
    """The graph that `to_pyg` made data of.

    Raises:
        ValueError: the data lacks a field of the graph, or its edges are not sorted by receiver.
    """
    stored = data.to_dict()
    ours = {name: pyg_name for name, pyg_name in _PYG_NAMES.items() if pyg_name in stored}
    values = {
        field.name: stored[ours.get(field.name, field.name)]
        for field in fields(AtomicGraph)
        if ours.get(field.name, field.name) in stored
    }
    if "edge_index" not in stored:
        raise ValueError("the data has no edge_index")
    senders, receivers = stored["edge_index"]
    if bool((receivers[1:] < receivers[:-1]).any()):
        raise ValueError("the edges are not sorted by receiver, edge_index[1]")
    try:
        return AtomicGraph(**values, senders=senders, receivers=receivers)
    except TypeError as error:
        raise ValueError(f"the data is no atomic graph: {error}") from None

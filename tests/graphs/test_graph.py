"""Pairs of neighbors among the edges of a graph."""

from dataclasses import replace

import pytest
import torch
from ase.build import molecule
from builders import structure_zoo

from hydracalc.graphs.collate import collate
from hydracalc.structure import from_atoms

ZOO = structure_zoo()


def edges_of(graph, places, sign):
    """Receiver, sender and image of some edges, or of their opposites."""
    ends = (graph.receivers, graph.senders)[::sign]
    columns = [
        *(end[places].tolist() for end in ends),
        *(sign * graph.cell_shifts[places]).T.long(),
    ]
    return {tuple(int(x) for x in row) for row in zip(*columns, strict=True)}


@pytest.mark.parametrize("kind", ZOO)
def test_pairs_and_their_opposites_are_all_edges_once(kind):
    graph = collate([from_atoms(ZOO[kind])], 5.0)
    chosen = graph.pairs()
    forth, back = edges_of(graph, chosen, 1), edges_of(graph, chosen, -1)
    assert not forth & back
    assert forth | back == edges_of(graph, torch.arange(graph.num_edges), 1)
    assert 2 * len(chosen) == graph.num_edges


def test_an_edge_without_its_opposite_is_refused():
    graph = collate([from_atoms(molecule("H2O"))], 5.0)
    one_way = replace(
        graph,
        senders=graph.senders[1:],
        receivers=graph.receivers[1:],
        cell_shifts=graph.cell_shifts[1:],
    )
    with pytest.raises(ValueError, match="5 edges are not two for each of"):
        one_way.pairs()

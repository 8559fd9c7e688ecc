"""Triplets against loops over all pairs of edges, in molecules and in small periodic cells."""

import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from builders import structure_zoo

from hydracalc.graphs.collate import collate
from hydracalc.models.triplets import find_triplets
from hydracalc.structure import from_atoms


def graph_of(*atoms, cutoff=3.0):
    graph = collate([from_atoms(a) for a in atoms], cutoff)
    return graph.with_edge_vectors(graph.displacements())


def brute_force(graph):
    """Pairs of edges that meet, but for those whose two steps cancel."""
    found = set()
    for outgoing in range(graph.num_edges):
        for incoming in range(graph.num_edges):
            meet = graph.receivers[incoming] == graph.senders[outgoing]
            same_atom = graph.senders[incoming] == graph.receivers[outgoing]
            step = graph.edge_vectors[incoming] + graph.edge_vectors[outgoing]
            if meet and not (same_atom and step.abs().max() < 1e-9):
                found.add((incoming, outgoing))
    return found


@pytest.mark.parametrize("name", ["molecule", "primitive cell", "one-atom cell", "wire"])
def test_triplets_equal_brute_force(name):
    graph = graph_of(structure_zoo()[name])
    triplets = find_triplets(graph)
    pairs = list(zip(triplets.incoming.tolist(), triplets.outgoing.tolist(), strict=True))
    assert len(pairs) == len(set(pairs)) > 0
    assert set(pairs) == brute_force(graph)
    assert torch.equal(triplets.outgoing, triplets.outgoing.sort().values)


def test_the_way_back_to_another_image_of_the_same_atom_is_a_triplet():
    """A chain of one atom: each of its two edges is followed by itself and not by the other."""
    chain = Atoms("C", cell=[2.0, 9, 9], pbc=[True, False, False])
    triplets = find_triplets(graph_of(chain))
    assert triplets.incoming.tolist() == triplets.outgoing.tolist() == [0, 1]


def test_triplets_do_not_cross_structures():
    water, silicon = molecule("H2O"), bulk("Si")
    alone = [find_triplets(graph_of(a)) for a in (water, silicon)]
    both = find_triplets(graph_of(water, silicon))
    joined = torch.cat([alone[0].incoming, alone[1].incoming + alone[0].num_edges])
    assert torch.equal(both.incoming, joined)


def test_cosines_tell_a_straight_way_from_a_bent_one():
    bent = graph_of(Atoms("C3", [[0, 0, 0], [1.5, 0, 0], [1.5, 1.5, 0]]), cutoff=2.0)
    straight = graph_of(Atoms("C3", [[0, 0, 0], [1.5, 0, 0], [3.0, 0, 0]]), cutoff=2.0)
    for graph, expected in ((bent, 0.0), (straight, 1.0)):
        directions = graph.edge_vectors / graph.edge_lengths[:, None]
        cosines = find_triplets(graph).cosines(directions)
        torch.testing.assert_close(cosines, torch.full((2,), expected).double())


def test_sums_arrive_at_the_outgoing_edge_in_at_least_float32():
    triplets = find_triplets(graph_of(molecule("CH4")))
    counts = triplets.sum_to_outgoing(torch.ones(len(triplets.incoming), 1).bfloat16())
    assert counts.dtype == torch.float32
    assert counts[:, 0].tolist() == torch.bincount(triplets.outgoing).tolist()


def test_without_edges_there_are_no_triplets():
    triplets = find_triplets(graph_of(Atoms("He")))
    assert triplets.incoming.shape == triplets.outgoing.shape == (0,)
    assert triplets.sum_to_outgoing(torch.zeros(0, 4)).shape == (0, 4)

"""Aggregators of PNAEq against loops over neighbors, their limits, and their smoothness."""

import math

import numpy as np
import pytest
import torch
from ase import Atoms
from builders import rattled

from hydracalc.graphs.collate import collate
from hydracalc.models import pnaeq
from hydracalc.models.encoder import EncoderConfig
from hydracalc.models.pnaeq import Neighborhood, PNAEq
from hydracalc.models.radial import envelope
from hydracalc.structure import from_atoms

CUTOFF = 3.0
CONFIG = EncoderConfig(cutoff=CUTOFF, num_channels=8, num_layers=2, num_radial=4)


def graph_of(atoms):
    graph = collate([from_atoms(atoms)], CUTOFF)
    return graph.with_edge_vectors(graph.displacements())


@pytest.fixture
def graph():
    """A cluster, and one atom far from it."""
    line = Atoms("CH3OHe", [[1.1 * i, 0, 0] for i in range(5)] + [[90, 0, 0]])
    return graph_of(rattled(line, 1))


@pytest.fixture
def neighborhood(graph):
    return Neighborhood(graph, envelope(graph.edge_lengths, CUTOFF))


@pytest.fixture
def messages(graph):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(graph.num_edges, 3, generator=generator, dtype=torch.float64)


def loop(graph, messages, statistic):
    """A statistic of the messages and weights of each atom, itself with a message of zero."""
    weights = envelope(graph.edge_lengths, CUTOFF).tolist()
    rows = []
    for atom in range(graph.num_atoms):
        edges = [e for e in range(graph.num_edges) if graph.receivers[e] == atom]
        own = [weights[e] for e in edges] + [1.0]
        rows.append(
            [
                statistic([messages[e, c].item() for e in edges] + [0.0], own)
                for c in range(messages.shape[1])
            ]
        )
    return torch.tensor(rows, dtype=torch.float64)


def mean(values, weights):
    return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)


def deviation(values, weights):
    center = mean(values, weights)
    variance = mean([(v - center) ** 2 for v in values], weights)
    return math.sqrt(variance + pnaeq.VARIANCE_FLOOR) - math.sqrt(pnaeq.VARIANCE_FLOOR)


def soft_maximum(values, weights):
    return math.log(mean([math.exp(1.7 * v) for v in values], weights)) / 1.7


def test_aggregators_equal_loops_over_the_neighbors(graph, neighborhood, messages):
    found = neighborhood.mean(messages)
    torch.testing.assert_close(found, loop(graph, messages, mean))
    spread = neighborhood.deviation(messages, found)
    torch.testing.assert_close(spread, loop(graph, messages, deviation))
    highest = neighborhood.maximum(messages, 1.7)
    torch.testing.assert_close(highest, loop(graph, messages, soft_maximum))
    lowest = neighborhood.minimum(messages, 1.7)
    torch.testing.assert_close(lowest, -loop(graph, -messages, soft_maximum))
    together = neighborhood.aggregate(messages)
    assert torch.equal(together[:, :6], torch.cat([found, spread], dim=1))


def test_soft_extremes_become_the_hard_ones(graph, neighborhood, messages):
    for soft, hard in ((neighborhood.maximum, max), (neighborhood.minimum, min)):
        expected = loop(graph, messages, lambda values, _, hard=hard: hard(values))
        distances = [(soft(messages, s) - expected).abs().max().item() for s in (1e1, 1e2, 1e3)]
        assert distances[0] > distances[1] > distances[2]
        assert distances[2] < 0.02


def test_large_messages_overflow_nothing(neighborhood, messages):
    got = neighborhood.maximum((1e4 * messages).float(), 4.0)
    assert torch.isfinite(got).all()
    assert got.max() == pytest.approx(1e4 * messages.max().item(), rel=1e-3)


def test_scalers_are_logarithms_of_the_degree(graph, neighborhood):
    degrees = torch.zeros(graph.num_atoms, dtype=torch.float64)
    degrees.index_add_(0, graph.receivers, envelope(graph.edge_lengths, CUTOFF))
    amplification = torch.log(degrees + 2) / math.log(5.0)
    expected = torch.stack([torch.ones(6), amplification, 1 / amplification], dim=1)
    torch.testing.assert_close(neighborhood.scalers(3.0), expected)


def test_no_neighbor_leaves_every_aggregate_at_zero_with_finite_derivatives(graph, messages):
    weights = envelope(graph.edge_lengths, CUTOFF).requires_grad_()
    messages.requires_grad_()
    aggregates = Neighborhood(graph, weights).aggregate(messages)
    assert aggregates[-1].abs().max() == 0  # the helium
    (slope,) = torch.autograd.grad(aggregates.square().sum(), weights, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), messages)
    assert torch.isfinite(curvature).all()


def test_first_and_second_derivatives_equal_finite_differences(graph, messages):
    weights = envelope(graph.edge_lengths, CUTOFF).requires_grad_()
    messages.requires_grad_()

    def function(weights, messages):
        neighborhood = Neighborhood(graph, weights)
        return neighborhood.aggregate(messages), neighborhood.scalers(3.0)

    assert torch.autograd.gradcheck(function, (weights, messages))
    assert torch.autograd.gradgradcheck(function, (weights, messages))


def test_energy_slope_and_curvature_are_continuous_when_a_neighbor_enters():
    """Of three atoms one comes in along a line; the hard aggregators would jump at the cutoff."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = PNAEq(CONFIG).double()

    def derivatives(distance):
        graph = graph_of(Atoms("CON", [[0, 0, 0], [0, 1.2, 0], [distance, 0, 0]]))
        vectors = graph.edge_vectors.detach().requires_grad_()
        energy = encoder(graph.with_edge_vectors(vectors)).scalars.square().sum()
        (slope,) = torch.autograd.grad(energy, vectors, create_graph=True)
        near = (graph.edge_lengths > 2.0).nonzero()[:, 0]
        along = slope[near, 0].sum() if len(near) else energy * 0
        bent = torch.autograd.grad(along, vectors)[0][near].sum() if len(near) else along
        return np.array([energy.item(), along.item(), bent.item()])

    inside, outside = derivatives(CUTOFF - 1e-6), derivatives(CUTOFF + 1e-6)
    np.testing.assert_allclose(inside, outside, atol=1e-5)
    assert np.abs(derivatives(CUTOFF - 0.5) - outside).max() > 1e-5


def test_features_forget_neither_the_number_nor_the_spread_of_neighbors():
    """What a mean alone cannot tell apart: two equal neighbors from one, and from two unequal."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = PNAEq(CONFIG).double()
    arms = ([[1.2, 0, 0]], [[1.2, 0, 0], [-1.2, 0, 0]], [[1.1, 0, 0], [-1.3, 0, 0]])
    centers = [
        encoder(graph_of(Atoms("C" + "H" * len(arm), [[0, 0, 0], *arm]))).scalars[0] for arm in arms
    ]
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert (centers[first] - centers[second]).abs().max() > 1e-5

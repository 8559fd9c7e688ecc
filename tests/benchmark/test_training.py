"""The training step is the library's own, on the batch that all peers get."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from hydracalc.benchmark import training
from hydracalc.models.hydra import HydraConfig

CPU = torch.device("cpu")
SMALL = HydraConfig(num_channels=8, num_layers=1, num_radial=4, head_widths=(8,))


def test_the_batch_has_the_edges_that_peers_are_compared_on():
    step = training.TrainingStep(SMALL, training.clusters(), device=CPU)
    assert (step.graph.num_structures, step.graph.num_atoms) == (32, 640)
    assert step.graph.num_edges == 7814


def test_clusters_are_the_same_for_the_same_seed_and_have_no_overlaps():
    first, again, other = (training.clusters(2, 20, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0].positions, again[0].positions)
    assert not np.array_equal(first[0].positions, other[0].positions)
    assert min(pdist(each.positions).min() for each in first) >= 0.9


def test_a_step_changes_the_weights_and_leaves_the_random_state_alone():
    state = torch.random.get_rng_state()
    step = training.TrainingStep(SMALL, training.clusters(2), device=CPU)
    before = torch.cat([p.detach().ravel() for p in step.trainer.model.parameters()]).clone()
    losses = [step() for _ in range(3)]
    after = torch.cat([p.detach().ravel() for p in step.trainer.model.parameters()])
    assert not torch.equal(before, after)
    assert np.isfinite(losses).all()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_steps_are_timed(brief):
    step = training.TrainingStep(SMALL, training.clusters(2, 5), device=CPU)
    found = training.time_training(step, effort=brief, device=CPU)
    assert (found.encoder, found.num_channels, found.num_layers) == ("painn", 8, 1)
    assert (found.num_structures, found.num_atoms) == (2, 10)
    parameters = sum(p.numel() for p in step.trainer.model.parameters())
    assert found.num_parameters == parameters
    assert found.timing.count == 2
    assert found.timing.median_ms == pytest.approx(found.timing.mean_ms)

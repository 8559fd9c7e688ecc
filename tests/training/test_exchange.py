"""A step's gradient is that of its objective, clipped, on the device of the weights."""

import numpy as np
import pytest
import torch

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.parallel.mesh import alone
from hydracalc.training.config import TrainerConfig
from hydracalc.training.exchange import Exchange
from hydracalc.training.loop import Trainer
from hydracalc.training.loss import LossConfig, residuals
from hydracalc.training.sampler import BranchShare, TrainingSet

from .conftest import spec_of

CONFIG = HydraConfig(
    encoder="egnn", cutoff=4.5, num_channels=8, num_layers=2, num_radial=6, head_widths=(8,)
)


@pytest.fixture
def model_and_data(two_sets):
    torch.manual_seed(0)
    model = HydraModel(CONFIG, [spec_of(s) for s in two_sets])
    model.precision = "float64"
    structures = [*two_sets[0][:3], *two_sets[1][:3]]
    data = TrainingSet(structures, branch_names=model.branch_names, cutoff=CONFIG.cutoff)
    return model.train(), data


def test_gradients_of_one_process_are_autograds(model_and_data):
    """Twice, so that nothing is left of the first; what has none keeps none."""
    model, data = model_and_data
    exchange = Exchange(alone(2), model, torch.ones(2, dtype=torch.float64))
    parameters = dict(model.named_parameters())
    for places in (np.arange(6), np.arange(3)):
        graph = data.graph(places)
        residual = residuals(model(graph), graph, num_branches=2, config=LossConfig())
        value = exchange.objective(residual, LossConfig())
        expected = torch.autograd.grad(
            value, list(parameters.values()), retain_graph=True, allow_unused=True
        )
        model.zero_grad(set_to_none=True)
        exchange.backward(value)
        report = exchange.gradients(value, clip=1e9, seconds=2.0, is_ending=True)
        for name, one in zip(parameters, expected, strict=True):
            other = parameters[name].grad
            assert (one is None) == (other is None) == ("layers.1.pull" in name)
            assert one is None or torch.equal(one, other)
        square = sum(float(g.square().sum()) for g in expected if g is not None)
        assert report.gradient_norm == pytest.approx(square**0.5)
        assert (report.objective, report.seconds, report.is_ending) == (
            float(value.detach()),
            2.0,
            True,
        )


def test_a_long_gradient_is_cut(model_and_data):
    model, data = model_and_data
    exchange = Exchange(alone(2), model, torch.ones(2, dtype=torch.float64))
    graph = data.graph(np.arange(6))
    residual = residuals(model(graph), graph, num_branches=2, config=LossConfig())
    value = exchange.objective(residual, LossConfig())
    exchange.backward(value)
    report = exchange.gradients(value, clip=1e-3, seconds=0.0, is_ending=False)
    square = sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None)
    assert report.gradient_norm > 1e-3
    assert square**0.5 == pytest.approx(1e-3)


def test_a_step_takes_its_batch_to_where_the_weights_are(model_and_data, monkeypatch):
    model, data = model_and_data
    trainer = Trainer(
        model, data, validation=None, branches=[BranchShare()] * 2, config=TrainerConfig()
    )
    moved, move = [], AtomicGraph.to
    monkeypatch.setattr(AtomicGraph, "to", lambda g, d: moved.append(d) or move(g, d))
    trainer.step(data.graph(np.arange(6)))
    assert moved == [next(model.parameters()).device]

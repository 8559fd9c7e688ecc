"""Bytes by formula against bytes of tensors."""

import numpy as np
import pytest
import torch
from planning.test_sizes import PAPER, SHIPPED

from hydracalc.benchmark.training import clusters
from hydracalc.models.hydra import HydraConfig
from hydracalc.planning.calibration import _trial
from hydracalc.planning.memory import (
    GB,
    MemoryUse,
    activation_bytes,
    model_bytes,
    structure_bytes,
)
from hydracalc.planning.sizes import build_model, measure_size
from hydracalc.shards.table import from_structures
from hydracalc.training.ema import EmaConfig, MovingAverage


def own_bytes(model, average, optimizer):
    """Weights, gradients, moments and average, counted tensor by tensor."""
    tensors = [*model.parameters(), *model.buffers(), *average.parameters(), *average.buffers()]
    tensors += [p.grad for p in model.parameters()]
    tensors += [v for state in optimizer.state.values() for v in state.values()]
    return sum(tensor.nbytes for tensor in tensors)


def formula(config, num_branches):
    parts = model_bytes(measure_size(config), num_branches)
    return sum(parts.values())


@pytest.mark.parametrize("num_branches", [1, 2, 4, 8])
def test_the_shipped_size_takes_what_the_formula_says(num_branches):
    """A real trainer after a real step."""
    trial = _trial(SHIPPED, num_branches, "float32", (8, 8))
    trial()
    trainer = trial.trainer
    measured = own_bytes(trainer.model, trainer.average.model, trainer.optimizer)
    assert formula(SHIPPED, num_branches) == pytest.approx(measured, rel=0.02)


@pytest.mark.parametrize("num_branches", [1, 2, 4, 8])
def test_the_paper_size_takes_what_the_formula_says(num_branches):
    """Ps + n Ph, counted on tensors that have shapes but no memory."""
    model = build_model(PAPER, num_branches, on_meta=True)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    average = MovingAverage(model, EmaConfig()).model
    assert formula(PAPER, num_branches) == pytest.approx(
        own_bytes(model, average, optimizer), rel=0.001
    )


def test_float64_doubles_what_is_trained():
    size = measure_size(SHIPPED)
    single, double = (model_bytes(size, 2, item_bytes=n) for n in (4, 8))
    assert double["moments"] == 2 * single["moments"]
    assert double["weights"] == 2 * single["weights"] - size.buffers(2)


def test_the_peak_has_model_and_activations():
    parts = dict.fromkeys(("weights", "gradients", "moments", "average"), 10)
    use = MemoryUse(**parts, activations=5, structures=100, neighbors=20)
    assert (use.model, use.device, use.host) == (40, 45, 120)
    assert GB == 1e9


@pytest.mark.parametrize(("channels", "layers"), [(24, 2), (40, 3)])
def test_activations_follow_the_formula(encoder, channels, layers):
    """At sizes that it was not fitted to."""
    config = HydraConfig(encoder=encoder, num_channels=channels, num_layers=layers)
    trial = _trial(config, 1, "float32", (6, 16))
    predicted = activation_bytes(config, *trial.sizes)
    assert predicted == pytest.approx(trial.activations(), rel=0.15)


def test_activations_grow_with_the_batch_and_have_a_formula_for_every_encoder(encoder):
    config = HydraConfig(encoder=encoder)
    small, large = (activation_bytes(config, n, 20 * n) for n in (10, 20))
    assert large == pytest.approx(2 * small)
    assert activation_bytes(config, 0, 0) == 0


def test_an_encoder_without_formula_is_refused():
    with pytest.raises(ValueError, match="'enn'"):
        activation_bytes(HydraConfig(encoder="enn"), 10, 100)


def test_bytes_of_a_structure_are_those_of_the_table():
    structures = clusters(20, 12)
    table = from_structures("bench", structures, [0] * 20)
    stored = sum(array.nbytes for array in table.arrays.values()) / 20
    assert structure_bytes(12) == pytest.approx(stored, rel=0.05)
    assert np.diff([structure_bytes(n) for n in (1, 2)]) == 56

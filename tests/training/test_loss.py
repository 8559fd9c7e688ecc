"""The objective is a weighted mean over labels, however they are batched."""

import numpy as np
import pytest
import torch
from builders import make_card  # noqa: F401

from hydracalc.graphs.collate import collate
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.training.loss import LossConfig, add, objective, residuals
from hydracalc.training.metrics import BranchMetrics

from .conftest import spec_of

SIZES = {"num_channels": 8, "num_layers": 1, "num_radial": 4, "head_widths": (8,)}
WEIGHTS = torch.tensor([1.0, 2.0], dtype=torch.float64)


@pytest.fixture
def case(two_sets):
    torch.manual_seed(0)
    model = HydraModel(HydraConfig(**SIZES), [spec_of(s) for s in two_sets]).double().eval()
    structures = list(two_sets[0]) + list(two_sets[1])
    return model, structures


def measured(model, structures, config, size):
    parts = []
    for start in range(0, len(structures), size):
        graph = graph_of(model, structures[start : start + size])
        parts.append(residuals(model(graph, stress=True), graph, num_branches=2, config=config))
    return add(parts)


def graph_of(model, structures):
    branches = {name: i for i, name in enumerate(model.branch_names)}
    return collate(structures, model.config.cutoff, branches=branches)


@pytest.mark.parametrize("kind", ["huber", "l1", "mse"])
def test_the_objective_does_not_depend_on_the_batches(case, kind):
    model, structures = case
    config = LossConfig(kind=kind)
    values = [
        objective(measured(model, structures, config, size), WEIGHTS, config).item()
        for size in (1, 7, len(structures))
    ]
    assert values == pytest.approx([values[0]] * 3, rel=1e-12)


def test_the_objective_is_the_formula_of_its_docstring(case):
    """Against NumPy, label by label, with mean absolute errors."""
    model, structures = case
    config = LossConfig(kind="l1", energy_weight=3.0, forces_weight=5.0, stress_weight=7.0)
    got = objective(measured(model, structures, config, 4), WEIGHTS, config).item()
    sums, counts = np.zeros(3), np.zeros(3)
    for structure in structures:
        graph = graph_of(model, [structure])
        prediction = model(graph, stress=True)
        weight = WEIGHTS[int(graph.branch_index[0])].item()
        energy = abs(prediction.energy.item() - structure.energy) / structure.num_atoms
        sums[0] += weight * energy
        counts[0] += weight
        forces = np.abs(prediction.forces.numpy() - structure.forces)
        sums[1] += weight * forces.mean(axis=1).sum()
        counts[1] += weight * structure.num_atoms
        if structure.stress is not None:
            sums[2] += weight * np.abs(prediction.stress[0].numpy() - structure.stress).mean()
            counts[2] += weight
    assert got == pytest.approx(np.sum([3, 5, 7] * sums / counts), rel=1e-10)


def test_labels_that_are_missing_count_nowhere(case):
    from dataclasses import replace

    model, structures = case
    config = LossConfig()
    blind = replace(structures[0], forces=None, stress=None, energy=None, source="blind")
    with_blind = measured(model, [*structures, blind], config, 50)
    without = measured(model, structures, config, 50)
    for name in ("energy", "forces", "stress"):
        torch.testing.assert_close(with_blind.sums[name], without.sums[name])
        torch.testing.assert_close(with_blind.counts[name], without.counts[name])
    assert without.counts["stress"].tolist() == [18, 0]


def test_huber_is_square_below_delta_and_straight_beyond():
    from hydracalc.training.loss import _cost

    errors = torch.tensor([[0.01], [0.1], [0.2]], dtype=torch.float64)
    costs = _cost(errors, "huber", 0.05).squeeze().tolist()
    assert costs[0] == pytest.approx(0.5 * 0.01**2 / 0.05)
    assert costs[2] - costs[1] == pytest.approx(0.1)


def test_metrics_are_mean_absolute_and_root_mean_square_errors(case):
    model, structures = case
    metrics = BranchMetrics(model.branch_names)
    for start in range(0, len(structures), 5):
        graph = graph_of(model, structures[start : start + 5])
        metrics.add(model(graph, stress=True), graph)
    result = metrics.result()
    members = [s for s in structures if s.branch == "clusters"]
    graph = graph_of(model, members)
    error = (model(graph).forces - graph.forces).numpy()
    assert result["clusters"]["force_mae_eV_per_A"] == pytest.approx(np.abs(error).mean())
    assert result["clusters"]["force_rmse_eV_per_A"] == pytest.approx(np.sqrt((error**2).mean()))
    assert "stress_mae_eV_per_A3" not in result["clusters"]
    assert "stress_mae_eV_per_A3" in result["metals"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "hubber"}, "did you mean 'huber'"),
        ({"forces_weight": -1.0}, "weight -1.0 must not be negative"),
        ({"energy_delta": 0.0}, "delta 0.0 must be positive"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        LossConfig(**changes)

"""A short measured run on this machine."""

import json

import pytest
from planning.costs import CONFIG, make_calibration, make_model

from hydracalc.benchmark.clock import Effort
from hydracalc.errors import DataError
from hydracalc.models.hydra import HydraConfig
from hydracalc.planning.calibration import (
    _fit,
    calibrate,
    load_calibration,
    save_calibration,
)
from hydracalc.planning.flops import count_flops
from hydracalc.planning.sizes import build_model


@pytest.fixture(scope="module")
def measured():
    return calibrate(
        CONFIG,
        num_atoms=256,
        effort=Effort(seconds=0.1, min_rounds=2, max_rounds=4, warm_up=1),
    )


def test_steps_are_measured_and_cost_time(measured):
    assert measured.step_s > 0
    assert measured.weight_s > 0
    assert measured.graph_s > 0
    assert measured.atom_s + measured.edge_s > 0
    assert min(measured.branch_s, measured.atom_s, measured.edge_s, measured.touch_s) >= 0
    assert measured.flops_per_s > 0
    measured.check(CONFIG, "float32")


def test_activations_are_near_the_formula(measured):
    assert measured.activation_ratio == pytest.approx(1, abs=0.3)
    assert measured.activation_error < 0.2


def test_a_file_gives_the_same_numbers(measured, tmp_path):
    path = tmp_path / "new" / "c.json"
    save_calibration(path, measured)
    assert load_calibration(path) == measured
    assert [file.name for file in path.parent.iterdir()] == ["c.json"]


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "c.json"
    path.write_text("{")
    with pytest.raises(DataError, match=r"c\.json: is no calibration"):
        load_calibration(path)
    path.write_text(json.dumps({"encoder": "painn"}))
    with pytest.raises(DataError, match="keys differ in"):
        load_calibration(path)


def test_a_calibration_of_another_model_is_refused():
    with pytest.raises(ValueError, match="of precision 'float32', the recipe has 'float64'"):
        make_calibration().check(CONFIG, "float64")
    with pytest.raises(ValueError, match="num_channels 16, the recipe has 32"):
        make_calibration().check(
            HydraConfig(encoder="painn", num_channels=32, num_layers=2), "float32"
        )


def test_a_fit_finds_costs_that_differ_by_orders():
    rows = [(16, 70, 2e7), (32, 600, 2e7), (40, 480, 3e7), (80, 960, 3e7), (64, 1200, 2e7)]
    costs = (1e-4, 2e-5, 3e-9)
    values = [sum(c * x for c, x in zip(costs, row, strict=True)) for row in rows]
    assert _fit(rows, values) == pytest.approx(costs, rel=1e-6)


def test_matrix_products_are_counted():
    """A product of (n, k) and (k, m) is nkm multiplications and as many additions."""
    layer = build_model(CONFIG, 1).branches.energy.layers[0]
    inputs = layer.weight.new_ones(1, 5, 16)
    assert count_flops(lambda: layer(inputs, slice(0, 1))) == 2 * 5 * 16 * 16


def test_a_slower_machine_takes_longer_for_everything():
    costs = make_calibration()
    slower = costs.scaled(2.0, "as told")
    assert slower.machine == "made up; all times 2 times, as told"
    assert slower.flops_per_s == costs.flops_per_s / 2
    old, new = (
        make_model(calibration=c).compute(100, 900, present=2, held=3) for c in (costs, slower)
    )
    assert new == pytest.approx(2 * old)
    assert slower.graph_s == 2 * costs.graph_s
    assert slower.activation_ratio == costs.activation_ratio
    with pytest.raises(ValueError, match="factor of a calibration is 0"):
        costs.scaled(0, "never")

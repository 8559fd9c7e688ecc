"""`hydracalc plan`: a table or JSON with its assumptions; bad input is named."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from planning.costs import make_calibration

from hydracalc.cli.plan import plan_command
from hydracalc.planning.calibration import save_calibration
from hydracalc.planning.published import published

RUN = "gfm-2025"


@pytest.fixture
def calibration(tmp_path):
    """Costs of the model of that run, made up."""
    shape = published(RUN).model
    path = tmp_path / "c.json"
    save_calibration(
        path,
        make_calibration(
            encoder=shape.encoder, num_channels=shape.num_channels, num_layers=shape.num_layers
        ),
    )
    return path


def run(*words):
    return CliRunner().invoke(plan_command, [str(word) for word in words])


def test_the_table_has_all_layouts_the_choice_and_every_assumption(calibration):
    result = run(RUN, "--ranks", 1920, "--calibration", calibration, "--network", "slingshot")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert {"base", "multitask", "hybrid"} <= {line.split(" ")[0] for line in lines}
    assert any(line.startswith("take: ") for line in lines)
    assert "encoder Ps 21,235,186, branch Ph 2,354,073, 5 branches" in result.output
    assumed = result.output.split("assumptions:")[1]
    for word in ("slingshot", "calibrated on", "activations", "one copy", "largest remainder"):
        assert word in assumed


def test_json_has_the_same_numbers(calibration):
    result = run(RUN, "--ranks", 40, "--calibration", calibration, "--json")
    plan = json.loads(result.output)
    assert plan["parameters"] == {"encoder": 21_235_186, "branch": 2_354_073}
    base, multitask = plan["layouts"][:2]
    assert (base["layout"], multitask["layout"]) == ("base", "multitask")
    trained = 4 * (21_235_186 + 5 * 2_354_073)
    assert base["memory"]["gradients_bytes"] == trained
    assert multitask["memory"]["moments_bytes"] == 8 * (21_235_186 + 2_354_073)
    assert sum(group["num_ranks"] for group in multitask["groups"]) == 40
    parts = ("compute_s", "collective_s", "data_s", "idle_s")
    assert sum(base["split"][part] for part in parts) == pytest.approx(base["step_s"])
    assert plan["choice"] in {"base", "multitask", "hybrid"}


def test_what_does_not_fit_is_said(calibration):
    words = ("--ranks", 40, "--calibration", calibration, "--device-memory", 0.5)
    result = run(RUN, *words)
    assert result.exit_code == 0
    assert "GB of device memory, there are 0.5" in result.output
    assert "take: none (no layout fits" in result.output


def test_too_few_ranks_are_explained(calibration):
    result = run(RUN, "--ranks", 2, "--calibration", calibration)
    assert "multitask is not possible: " in result.output
    assert "there are 2 ranks" in result.output


def test_more_structures_take_more_steps(calibration):
    shown = [
        json.loads(run(RUN, "--ranks", 8, "--calibration", calibration, "--json", *more).output)
        for more in ((), ("--structures", "359e6"))
    ]
    assert [each["num_structures"] for each in shown] == [24_000_000, 359_000_000]
    held = [each["layouts"][0]["memory"]["structures_bytes"] for each in shown]
    assert held[1] == pytest.approx(held[0] * 359 / 24, rel=1e-6)


def test_own_numbers_of_the_network_count(calibration):
    words = (RUN, "--ranks", 64, "--calibration", calibration, "--json")
    slow, fast = (
        json.loads(run(*words, "--bandwidth", speed, "--alpha", 1).output)["layouts"][0]["split"]
        for speed in (1, 100)
    )
    assert slow["collective_s"] > 50 * fast["collective_s"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((RUN, "--ranks", 0), "--ranks is 0, expected at least 1"),
        ((RUN, "--ranks", 8, "--network", "token ring"), "network 'token ring'"),
        ((RUN, "--ranks", 8, "--bandwidth", 0), "bandwidth is 0"),
        ((RUN, "--ranks", 8, "--overlap", 3), "overlap is 3"),
        ((RUN, "seed=1", "--ranks", 8), "'seed=1' cannot be set in it"),
        (("no-such-recipe", "--ranks", 8), "no-such-recipe"),
    ],
)
def test_bad_input_is_named(words, message):
    result = run(*words)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_a_calibration_of_another_model_is_refused(tmp_path):
    path = tmp_path / "c.json"
    save_calibration(path, replace(make_calibration(), num_channels=5))
    result = run(RUN, "--ranks", 8, "--calibration", path)
    assert "calibration is of encoder 'painn', the recipe has 'egnn'" in str(result.exception)

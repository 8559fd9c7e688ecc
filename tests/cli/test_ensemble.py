"""`hydracalc ensemble`: members are chosen by a stated rule, and calibrated on held-out labels."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from builders import make_model, rattled

from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import save_checkpoint
from hydracalc.ensemble.files import beside, read_ensemble


def write_run(folder, *, seed, force, energy=0.01, joules=None, is_estimate=False):
    """A folder as `hydracalc pretrain` leaves it, with two validations."""
    folder.mkdir()
    save_checkpoint(folder / "model.safetensors", make_model(seed=seed), provenance={})
    records = [
        {"epoch": epoch, "step": 10 * epoch, "seconds": 60.0 * epoch}
        | {f"val/{b}/force_mae_eV_per_A": factor * f for b, f in force.items()}
        | {f"val/{b}/energy_mae_eV_per_atom": factor * energy for b in force}
        for epoch, factor in ((1, 3.0), (2, 1.0))
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    if joules is not None:
        content = {"joules": joules, "is_estimate": is_estimate}
        (folder / "energy.json").write_text(json.dumps(content))


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """a: precise and costly, b: a bit worse at a tenth, c: beaten by b in both, d: cheap, poor."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, force, joules) in enumerate(
        [("a", 0.050, 9000.0), ("b", 0.060, 900.0), ("c", 0.070, 1000.0), ("d", 0.5, 800.0)]
    ):
        both = {"organic": 0.5 * force, "general": 1.5 * force}
        write_run(Path(name), seed=seed, force=both, joules=joules, is_estimate=name == "b")
    return ["a", "b", "c", "d"]


def test_runs_are_ranked_by_error_alone(hydracalc, runs):
    found = hydracalc("ensemble", "select", *runs, as_json=True)
    assert found["chosen"] == ["a", "b", "c", "d"]
    assert found["runs"][0]["val_force_mae"] == pytest.approx(0.05)  # of the last validation
    assert found["runs"][0]["train_seconds"] == 120
    assert found["file"] is None


def test_energy_is_weighed_against_error_by_the_stated_rule(hydracalc, runs):
    keys = ["--by", "val_force_mae,energy_joule"]
    found = hydracalc("ensemble", "select", *runs, *keys, as_json=True)
    # c is beaten by b in both, so it is last whatever the weights are
    assert [run["name"] for run in found["runs"]] == ["b", "d", "a", "c"]
    assert "smallest weighted mean of log" in found["rule"]
    precise = [*keys, "--trade-off", "val_force_mae=20"]
    found = hydracalc("ensemble", "select", *runs, *precise, as_json=True)
    assert [run["name"] for run in found["runs"]] == ["a", "b", "d", "c"]
    text = hydracalc("ensemble", "select", *runs, *keys, "-n", "2").stdout
    assert "estimate" in text
    assert "no ensemble written" in text


def test_the_chosen_are_an_ensemble_that_computes(hydracalc, runs):
    hydracalc("ensemble", "select", *runs, "-n", "2", "-o", "best")
    listed = read_ensemble(Path("best/ensemble.json"))
    assert [each["from"] for each in listed.content["members"]] == ["a", "b"]
    assert listed.content["selection"]["by"] == ["val_force_mae"]
    assert [run["is_chosen"] for run in listed.content["selection"]["runs"]] == [1, 1, 0, 0]
    molecule("CH3OH").write("methanol.xyz")
    hydracalc("predict", "methanol.xyz", "-m", "best", "-b", "organic", "-o", "out.extxyz")
    calcs = [HydraCalculator(f"{name}/model.safetensors", branch="organic") for name in "ab"]
    want = np.mean([calc.get_potential_energy(molecule("CH3OH")) for calc in calcs])
    assert ase.io.read("out.extxyz").get_potential_energy() == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "b", "--by", "val_force_rmse"], "val_force_rmse is None"),
        (["a", "a"], "a is given twice"),
        (["a", "nowhere"], "nowhere: no model.safetensors"),
        (["a", "b", "--trade-off", "speed=2"], "trade-off names 'speed'"),
        (["a", "b", "--trade-off", "2"], "expected weights as in"),
        (["a", "b", "-n", "1", "-o", "one"], "at least 2 members, got 1"),
    ],
)
def test_wrong_input_is_one_message(hydracalc, runs, arguments, message):
    assert message in hydracalc("ensemble", "select", *arguments, code=2).stderr


def test_a_run_without_validation_cannot_be_compared(hydracalc, runs):
    Path("a/metrics.jsonl").write_text('{"epoch": 1}\n')
    assert "no validation in it" in hydracalc("ensemble", "select", *runs, code=1).stderr


@pytest.fixture
def labelled(runs, hydracalc):
    """An ensemble of three of one law, and labels of a fourth: it errs as members differ."""
    hydracalc("ensemble", "select", *runs[:3], "-o", "best")
    truth = HydraCalculator("d/model.safetensors", branch="organic")
    frames = []
    for seed in range(160):
        atoms = rattled(molecule(("CH3OH", "CH4", "H2O", "NH3")[seed % 4]), seed, 0.05)
        frames.append(atoms)
    for atoms, result in zip(frames, truth.evaluate(frames), strict=True):
        energy, forces = result["energy"], result["forces"]
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    frames.append(molecule("CH4"))
    ase.io.write("labels.extxyz", frames)
    return "labels.extxyz"


def test_calibration_is_stored_checked_and_used(hydracalc, labelled):
    arguments = ["best", labelled, "-b", "organic", "--plot", "reliability.png"]
    found = hydracalc("ensemble", "calibrate", *arguments, as_json=True)
    organic = found["branches"]["organic"]
    assert found["left_out"] == {"no energy label": 1}
    assert (organic["num_structures"], organic["energy_by"]) == (80, "members")
    for name in ("energy", "component", "force"):
        assert organic["coverage"][name]["0.9"] == pytest.approx(0.9, abs=0.1)
    assert Path("reliability.png").read_bytes()[:4] == b"\x89PNG"
    atoms = molecule("CH3OH")
    calc = HydraCalculator("best", branch="organic", uncertainty="ensemble")
    calc.calculate(atoms)
    assert set(calc.extras["uncertainty"]["intervals"]) == {0.5, 0.8, 0.9, 0.95}
    other = HydraCalculator("best", branch="general", uncertainty="ensemble")
    other.calculate(atoms)
    assert "intervals" not in other.extras["uncertainty"]
    text = hydracalc("ensemble", "calibrate", *arguments[:2], "-b", "general").stdout
    assert "general: found on 60 structures" in text  # the branch does not know nitrogen
    assert set(read_ensemble(Path("best/ensemble.json")).calibration) == {"organic", "general"}


def test_a_single_model_is_calibrated_beside_its_file(hydracalc, labelled):
    model = "a/model.safetensors"
    found = hydracalc("ensemble", "calibrate", model, labelled, "-b", "organic", as_json=True)
    organic = found["branches"]["organic"]
    # one branch alone knows nitrogen, so there is not always a spread between branches
    assert organic["energy_by"] == "nothing"
    assert set(organic["by_element_eV_per_A"]) == {"H", "C", "N", "O"}
    assert beside(Path(model)).is_file()
    calc = HydraCalculator(model, branch="organic", uncertainty="branches")
    calc.calculate(molecule("CH3OH"))
    assert len(calc.extras["uncertainty"]["intervals"][0.9]["forces"]) == 6


def test_too_few_labels_are_one_message(hydracalc, labelled):
    limited = ["best", labelled, "-b", "organic", "--limit", "60"]
    result = hydracalc("ensemble", "calibrate", *limited, code=2)
    assert "structures to calibrate with, expected at least 40" in result.stderr
    result = hydracalc("ensemble", "calibrate", "best", labelled, "--val", "val", code=2)
    assert "a file has no splits" in result.stderr

"""What was measured goes on the card, the weights stay, and what follows for use is said."""

import json

import pytest
import torch
from click.testing import CliRunner

from hydracalc.assessment import card, conservation, crystals, pairs
from hydracalc.assessment.stored import load_results, store_results
from hydracalc.checkpoint import load_checkpoint, read_header
from hydracalc.cli.main import main
from hydracalc.errors import DataError


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture
def measured(model_file, shards, tmp_path):
    out = tmp_path / "measured.safetensors"
    run("models", "measure", model_file, *shards, "-o", out, "--only", "errors,calibration")
    return out


def test_the_weights_stay_and_the_card_has_the_errors(model_file, measured):
    before, after = load_checkpoint(model_file), load_checkpoint(measured)
    for name, tensor in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], tensor, atol=0, rtol=0, equal_nan=True)
    told = read_header(measured)["provenance"]
    assert told["recipe"] == "test"
    assert told["measured"]["of_sha256"] == read_header(model_file)["sha256"]
    assert set(told["measured"]["sets"]) == {
        "MPtrj random frames",
        "MPtrj highest stress",
        "MatterSim mpf-TP",
        "MatterSim mpf-alkali-TP",
        "MatterSim random-TP",
    }
    assert told["measured"]["left_out"]
    assert told["measured"]["calibration"]["structures"] == 4  # published labels alone


def test_info_is_compact_and_all_has_the_elements(measured):
    short = run("models", "info", measured).stdout
    for part in ("MPtrj random frames (2)", "< 75 FAILS", "labels computed: a test", "do not use"):
        assert part in short
    assert "force error by element" not in short
    long = run("models", "info", measured, "--all").stdout
    assert "force error by element" in long
    assert len(long.splitlines()) > len(short.splitlines())


def test_a_model_without_measurements_says_so(model_file):
    assert "not measured beyond this" in run("models", "info", model_file).stdout


def test_what_results_have_is_not_measured_again(model_file, shards, tmp_path, monkeypatch):
    kept, out = tmp_path / "results.json", tmp_path / "new.safetensors"
    arguments = ("models", "measure", model_file, *shards, "-o", out, "--results", kept)
    run(*arguments, "--only", "errors")
    first = json.loads(kept.read_text())
    rest = dict.fromkeys(("calibration", "pairs", "lattices", "speed", "nve"), {})
    store_results(kept, first | rest)
    again = run(*arguments)
    assert "errors on" not in again.stderr
    assert read_header(out)["provenance"]["measured"]["sets"].keys() == first["sets"].keys()


def test_results_of_another_model_are_refused(model_file, measured, tmp_path):
    kept = tmp_path / "results.json"
    store_results(kept, {"sha256": "0" * 64})
    with pytest.raises(DataError, match="take another file"):
        load_results(kept, {"sha256": "1" * 64})
    result = run("models", "measure", model_file, "-o", "x", "--results", kept, code=1)
    assert "results of a model with SHA-256 000000000000" in result.stderr


def test_bad_sections_and_missing_labels_are_bad_input(model_file, tmp_path):
    out = tmp_path / "new.safetensors"
    result = run("models", "measure", model_file, "-o", out, "--only", "eror", code=2)
    assert "unknown section 'eror'; did you mean 'errors'" in result.stderr
    result = run("models", "measure", model_file, "-o", out, "--only", "errors", code=2)
    assert "errors need labels; give folders of shards" in result.stderr


def test_failures_become_warnings_of_use(model_file):
    header = read_header(model_file)
    crystal = crystals.LatticeConstants(
        element="Li",
        lattice="bcc",
        branch="mptrj",
        experiment_A=[3.5],
        found_A=[4.0],
        from_others_A=[[4.0], [4.0]],
        worst=0.14,
        worst_of_all=0.14,
    )
    run_ = conservation.DriftRun(
        system="Si",
        num_atoms=64,
        branch="mptrj",
        dtype="float32",
        timestep_fs=1.0,
        picoseconds=20,
        drift_meV_per_atom_per_ps=0.2,
    )
    curve = pairs.PairCurve(
        pair="H-O",
        branch="mptrj",
        is_smooth=True,
        is_repulsive=False,
        turns=1,
        depth_eV=-1.0,
        remarks=[],
    )
    told = card.not_for(
        header,
        {
            "nve": {"Si, mptrj": run_.to_json()},
            "lattices": {"mptrj": {"rows": {"Li": crystal.to_json()}}},
            "pairs": {"mptrj": {"H-O": curve.to_json()}},
            "sets": {
                "rough": {"choices": {"own": {"force_mae_eV_per_A": 0.5}}},
                "fine": {"choices": {"own": {"force_mae_eV_per_A": 0.05}}},
            },
        },
    )
    text = "\n".join(told)
    for part in ("Si, mptrj", "bulk Li", "H-O", "500 meV/A on structures like rough"):
        assert part in text
    assert "fine" not in text.replace("fine-tune", "")

"""benchmarks/bars.py: sections alone, results that add up in a file, and what is refused."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hydracalc.assessment import measure

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bars.py"


@pytest.fixture
def bars():
    spec = importlib.util.spec_from_file_location("bars", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments, code=0):
        result = CliRunner().invoke(module.main, [str(each) for each in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run


def test_sections_add_up_in_a_file(bars, model_file, shards, tmp_path):
    out = tmp_path / "bars.json"
    told = bars(model_file, *shards, "--only", "errors", "-o", out).stdout
    assert "MPtrj random frames (2)" in told
    told = bars(model_file, *shards, "--only", "calibration", "-o", out).stdout
    assert "spread between branches" in told
    assert "MPtrj random frames" not in told  # what this call measured is printed
    kept = json.loads(out.read_text())
    assert kept["sets"]
    assert kept["calibration"]
    assert measure.missing(kept) == ["pairs", "lattices", "speed", "nve"]


def test_json_is_all_there_is(bars, model_file, shards):
    result = bars(model_file, *shards, "--only", "errors", "--json")
    found = json.loads(result.stdout)
    assert found["sha256"] == measure.identity(model_file)["sha256"]
    assert found["sets"]["MPtrj random frames"]["choices"]["own"]["num_structures"] == 2


def test_speed_is_told_with_threads_and_atoms_a_second(bars, model_file, monkeypatch):
    monkeypatch.setattr(measure, "Effort", lambda: measure_effort)
    from hydracalc.benchmark.clock import Effort

    measure_effort = Effort(seconds=0.0, min_rounds=2, max_rounds=2, warm_up=1)
    told = bars(model_file, "--only", "speed").stdout
    assert "C6H6" in told
    assert "atoms/s" in told
    assert "threads of" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "eror"), "unknown section 'eror'"),
        (("--only", "errors"), "need labels"),
        (("--only", "nve", "--systems", "Sii"), "unknown system 'Sii'; did you mean 'Si'"),
    ],
)
def test_bad_words_are_refused(bars, model_file, words, message):
    assert message in bars(model_file, *words, code=2).output

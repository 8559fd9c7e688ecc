"""`hydracalc bench` end to end on a small model, as little as it can do."""

from dataclasses import replace

import pytest

from hydracalc.benchmark import roofline, suite
from hydracalc.benchmark.clock import Effort
from hydracalc.benchmark.precision import DriftRun


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Two rounds for each number, ten steps of drift, small matrices."""
    brief = Effort(seconds=0.0, min_rounds=2, max_rounds=2, warm_up=1)
    run = suite.run

    def run_briefly(config, *, show):
        less = replace(config, effort=brief, drift=DriftRun(most_steps=10), batch=2)
        return run(less, show=show)

    monkeypatch.setattr(suite, "run", run_briefly)
    monkeypatch.setattr(roofline, "_MATRIX_SIZE", {"cpu": 128})
    monkeypatch.setattr(roofline, "_COPY_BYTES", 2**22)


def test_sizes_and_memory_as_json(hydracalc, small_model):
    found = hydracalc(
        "bench", small_model, "--sizes", "8,12", "-b", "general", "--threads", 1, as_json=True
    )
    assert [step["system"] for step in found["steps"]] == ["Si8", "C6H6"]
    assert found["machine"]["threads"] == 1
    assert found["branch"] == "general"
    assert found["precision"] == []
    assert found["training"] is found["ceilings"] is None
    for peak, step in zip(found["memory"], found["steps"], strict=True):
        assert peak["system"] == step["system"]
        assert 100 < peak["peak_MiB"] < 2000


def test_everything_as_text(hydracalc, small_model):
    options = ("--training", "--precision", "--roofline", "--no-memory", "--device", "cpu")
    result = hydracalc("bench", small_model, "--sizes", "12", *options)
    for part in (
        "torch ",
        "ms/step",
        "atoms/s",
        "Several branches against one",
        "Training step",
        "bfloat16",
        "measured ceilings",
        "GEMM floor, ms",
        "Where the time goes",
    ):
        assert part in result.stdout, part
    assert "dynamics of C6H6" in result.stderr


def test_settings_reach_the_run(hydracalc, small_model, monkeypatch):
    given = []

    def stop(config, *, show):
        given.append(config)
        raise ValueError("stopped here")

    monkeypatch.setattr(suite, "run", stop)
    hydracalc("bench", small_model, "--compile", "--dtype", "float64", "-b", "a=0.5,b=0.5", code=2)
    (config,) = given
    assert (config.model, config.compile, config.dtype) == (small_model, True, "float64")
    assert config.branch == {"a": 0.5, "b": 0.5}
    assert config.sizes == suite.BenchConfig.sizes
    assert config.memory
    assert {config.training, config.precision, config.roofline} == {False}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sizes", "13"), "size 13: expected 12 (benzene) or a multiple of 8"),
        (("--sizes", "few"), "size 'few' is no number of atoms"),
        (("--threads", "0"), "threads is 0, expected at least 1"),
        (("-b", "organc"), "did you mean 'organic'"),
        (("--device", "cuda:99"), "GPUs"),
        (("--dtype", "float16"), "unknown dtype 'float16'"),
    ],
)
def test_wrong_options_are_one_message(hydracalc, small_model, options, message):
    result = hydracalc("bench", small_model, *options, code=2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr

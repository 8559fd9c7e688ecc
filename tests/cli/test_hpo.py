"""`hydracalc hpo`: what it lists, shows and refuses; searches themselves are in tests/hpo."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from hydracalc.cli.hpo import live_table
from hydracalc.hpo.config import FidelityConfig, SearchConfig
from hydracalc.hpo.journal import Trial, append, begin
from hydracalc.hpo.space import Range

CONFIG = SearchConfig(
    name="made-up",
    recipe="mtl-all",
    space={"seed": Range(low=0, high=9)},
    fidelity=FidelityConfig(epochs=2),
)


def trial(number, status="done", **more):
    final = 1.0 + number
    curve = [(0.5, 1, 2 * final), (1.0, 2, final)]
    known = Trial(
        number=number,
        status=status,
        values={"seed": number},
        encoder="painn",
        worker=number % 2,
        begun=60.0 * number,
        ended=60.0 * number + 50.0,
        objective=final,
        metrics={"val_force_mae": final},
        curve=curve,
        epochs=2,
        progress=1.0,
        energy_joule=1e4 / final,
        energy_source="estimate: CPU time x 10 W a core",
    )
    return dataclasses.replace(known, **more)


@pytest.fixture
def searched(tmp_path):
    """Folder of six trials that were done, one discarded, one failed."""
    folder = tmp_path / "search"
    begin(folder, CONFIG, goes_on=False)
    cut = {"curve": [(0.5, 1, 9.0)], "epochs": 1, "progress": 0.5, "objective": 9.0}
    lost = {"objective": None, "metrics": {}, "curve": [], "epochs": 0, "progress": 0.0}
    for each in [
        *(trial(n) for n in range(6)),
        trial(6, "discarded", **cut),
        trial(7, "failed", reason="out of memory: no", **lost),
    ]:
        append(folder, each)
    return folder


def test_shipped_searches_are_listed(hydracalc):
    assert "painn" in hydracalc("hpo", "list").output
    names = {each["name"] for each in hydracalc("hpo", "list", as_json=True)}
    assert {"painn", "egnn", "small"} <= names


def test_a_search_is_shown_with_its_front_and_what_it_cost(hydracalc, searched):
    output = hydracalc("hpo", "show", searched).output
    assert "out of memory: no" in output
    assert "energy, kJ (estimate)" in output
    assert "1 saved by discarding (7 %)" in output
    found = hydracalc("hpo", "show", searched, "--by", "val_force_mae", as_json=True)
    assert [row["name"] for row in found["front"]] == ["0000"]
    assert found["summary"]["counts"] == {"done": 6, "discarded": 1, "failed": 1}
    assert len(found["trials"]) == 8


def test_pictures_are_written(hydracalc, searched, tmp_path):
    hydracalc("hpo", "show", searched, "--plots", tmp_path / "plots")
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {"front.png", "progress.png", "workers.png"}


def test_the_proxy_report_says_what_it_rests_on(hydracalc, searched, tmp_path):
    output = hydracalc("hpo", "proxy", searched, "--plot", tmp_path / "proxy.png").output
    assert "painn, 2 epochs, 1 val_force_mae: 6 trials" in output
    assert "1 more were discarded early" in output
    assert (tmp_path / "proxy.png").read_bytes().startswith(b"\x89PNG")
    (found,) = hydracalc("hpo", "proxy", searched, as_json=True)
    assert np.isclose(found["agreements"][0]["spearman"], 1.0)


def test_a_proxy_report_of_four_trials_is_refused(hydracalc, tmp_path):
    begin(tmp_path, CONFIG, goes_on=False)
    for number in range(4):
        append(tmp_path, trial(number))
    error = hydracalc("hpo", "proxy", tmp_path, code=2).output
    assert "4 trials went to their end, expected at least 5" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["paint"], "unknown search 'paint'; did you mean 'painn'"),
        (["small", "model.num_chanels=3", "-o", "x"], "did you mean 'model.num_channels'"),
        (["small", "--sampler", "grid", "-o", "x"], "sampler"),
        (["small", "--workers", "0", "-o", "x"], "workers 0"),
        (["small", "--resume", "nowhere"], "there is no search"),
        (["show", "nowhere"], "there is no search"),
        (["small", "--warm-start", "nowhere", "-o", "x"], "there is no search"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(hydracalc, folder, words, message):
    result = hydracalc("hpo", *words, code=2)
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (folder / "x").exists()


def test_the_live_table_has_the_best_and_the_trials_under_way():
    console = Console(width=160, file=io.StringIO())
    console.print(live_table(CONFIG, [], [trial(1), trial(0)]))
    text = console.file.getvalue()
    assert "2 of 20 trials, best 0000 1, 0 epochs saved, energy, kJ (estimate) 15" in text
    assert "0001" in text

"""A search on real trials: failures are recorded, losers end early, others can go on from it."""

import json

import pytest
from click.testing import CliRunner

from hydracalc.checkpoint import load_checkpoint
from hydracalc.cli.main import main
from hydracalc.hpo import latency, summary
from hydracalc.hpo.config import DiscardingConfig, TrialConfig
from hydracalc.hpo.journal import read_journal, trial_folder
from hydracalc.hpo.search import Watcher, search, warm_up


@pytest.fixture(scope="module")
def searched(toy, tmp_path_factory):
    """Folder of a search of four trials, one of the first two of an encoder that is not there."""
    folder = tmp_path_factory.mktemp("searched") / "search"
    looks = []
    watcher = Watcher(on_look=lambda running, _: looks.append(len(running)))
    trials = search(toy(), folder, watcher=watcher)
    assert max(looks) == 2
    assert [t.number for t in sorted(trials, key=lambda t: t.number)] == [0, 1, 2, 3]
    return folder


def test_a_trial_that_fails_is_recorded_with_its_reason_and_the_search_goes_on(searched):
    trials = read_journal(searched)
    failed = [trial for trial in trials if trial.status == "failed"]
    assert failed
    for trial in failed:
        assert trial.values["model.encoder"] == "nonesuch"
        assert "unknown encoder 'nonesuch'" in trial.reason
        assert trial.objective is None
    assert any(trial.status == "done" for trial in trials)


def test_the_result_of_a_trial_is_that_of_its_run(searched):
    trial = summary.best_of(read_journal(searched))
    folder = trial_folder(searched, trial.number)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if "seconds" in line][-1]
    assert trial.objective == last["val/copper/force_mae_eV_per_A"]
    assert trial.metrics["val_energy_mae"] == last["val/copper/energy_mae_eV_per_atom"]
    assert [epoch for _, epoch, _ in trial.curve] == [1, 2, 3, 4]
    assert load_checkpoint(folder / "model.safetensors").config.encoder == trial.encoder
    rate = trial.values["trainer.schedule.learning_rate"]
    assert f"learning_rate = {rate!r}" in (folder / "recipe.toml").read_text()


def test_energy_of_trials_is_counted_and_called_what_it_is(searched):
    trials = read_journal(searched)
    assert all(t.energy_joule > 0 for t in trials)
    found = summary.summarize(trials)
    assert found.energy_joule == pytest.approx(sum(t.energy_joule for t in trials))
    assert found.energy_is_estimate == any("estimate" in t.energy_source for t in trials)


def test_a_search_that_is_done_has_nothing_to_go_on_with(searched, toy):
    before = read_journal(searched)
    assert search(toy(), searched, goes_on=True) == before


def test_the_command_shows_a_search_that_is_done(searched, workplace):
    words = ["hpo", workplace / "toy.toml", "--resume", searched, "--sampler", "random", "--json"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["summary"]["best"] == found["front"][0]["name"]
    assert found["front"][0]["latency_ms"] > 0


def test_a_search_does_not_go_on_as_another_one(searched, toy):
    other = toy(discarding=DiscardingConfig())
    with pytest.raises(ValueError, match="begun as another search: discarding was"):
        search(other, searched, goes_on=True)
    with pytest.raises(ValueError, match="holds a search already"):
        search(toy(), searched)


def test_another_search_begins_with_what_this_one_found(searched, toy):
    warmth = warm_up(toy(warm_start=(str(searched),)))
    objectives = {trial.objective for trial in read_journal(searched) if trial.status == "done"}
    assert objectives <= {each.objective for each in warmth.known}
    assert len(warmth.known) == 4
    narrow = {key: toy().space[key] for key in ("trainer.schedule.learning_rate",)}
    assert warm_up(toy(warm_start=(str(searched),), space=narrow)).left_out == {}
    wide = toy().space | {"seed": narrow["trainer.schedule.learning_rate"]}
    left_out = warm_up(toy(warm_start=(str(searched),), space=wide)).left_out
    assert left_out == {"no value for seed": 4}


def test_errors_of_another_fidelity_are_no_warm_start(searched, toy):
    other = toy(warm_start=(str(searched),), fidelity=type(toy().fidelity)(epochs=9))
    with pytest.raises(ValueError, match="its fidelity is"):
        warm_up(other)


def test_models_of_trials_are_timed_in_turns(searched):
    done = [trial for trial in read_journal(searched) if trial.status == "done"]
    times = latency.measure(searched, done)
    assert len(times) == len(done)
    assert all(0.01 < ms < 1e4 for ms in times.values())
    assert latency.read(searched) == times
    rows = summary.rows_of(searched, done)
    assert set(summary.front_of(rows)[0]) == {"name", "objective", "latency_ms", "energy_joule"}


def test_a_search_is_not_started_by_the_launcher_of_its_trials(toy, tmp_path, monkeypatch):
    for name, value in {"PMI_RANK": "0", "PMI_SIZE": "2", "MPI_LOCALRANKID": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MPI_LOCALNRANKS", "2")
    with pytest.raises(ValueError, match="started by mpiexec; start it alone"):
        search(toy(trial=TrialConfig(ranks=2)), tmp_path / "x")

"""Is the early error a proxy? Rank correlations over trials, and when there are too few."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from hydracalc.hpo import plots
from hydracalc.hpo.journal import append, begin
from hydracalc.hpo.proxy import agreements, report


def write(folder, config, trials):
    begin(folder, config, goes_on=False)
    for trial in trials:
        append(folder, trial)
    return folder


@pytest.fixture
def four_epochs(config):
    return dataclasses.replace(config, fidelity=type(config.fidelity)(epochs=4))


def noisy(made_up, count, seed=0, **more):
    """Trials whose early errors are those of the end and something else."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        trial = made_up(number, float(rng.lognormal()), **more)
        curve = [(p, e, v * float(np.exp(rng.normal(0, 2 * (1 - p))))) for p, e, v in trial.curve]
        yield dataclasses.replace(trial, curve=curve)


def test_the_correlation_is_that_of_the_trials(tmp_path, four_epochs, made_up):
    trials = list(noisy(made_up, 12))
    (found,) = report([write(tmp_path, four_epochs, trials)])
    assert (found.encoder, found.num_trials) == ("painn", 12)
    assert [each.epoch for each in found.agreements] == [1, 2, 3]
    final = [trial.curve[-1][2] for trial in trials]
    for place, each in enumerate(found.agreements):
        early = np.array([trial.curve[place][2] for trial in trials])
        assert each.spearman == pytest.approx(spearmanr(early, final).statistic)
        assert each.low < each.spearman < each.high
        assert each.place_of_best == np.argsort(np.argsort(early))[np.argmin(final)] + 1
    assert plots.proxies([found]).startswith(b"\x89PNG")


def test_the_interval_covers_the_truth(made_up):
    """For normal pairs of correlation r Spearman's is 6/pi asin(r/2)."""
    rng, r, hits = np.random.default_rng(1), 0.7, 0
    truth = 6 / np.pi * np.arcsin(r / 2)
    for _ in range(200):
        x = rng.normal(size=15)
        y = r * x + np.sqrt(1 - r**2) * rng.normal(size=15)
        curves = [
            dataclasses.replace(made_up(0), curve=[(0.5, 1, np.exp(a)), (1.0, 2, np.exp(b))]).points
            for a, b in zip(x, y, strict=True)
        ]
        (each,) = agreements(curves, 2)
        hits += each.low <= truth <= each.high
    assert 0.88 < hits / 200 <= 1


def test_fewer_than_five_trials_say_nothing(tmp_path, four_epochs, made_up):
    trials = [*noisy(made_up, 4), made_up(9, status="discarded", epochs=1)]
    (found,) = report([write(tmp_path, four_epochs, trials)])
    assert found.refused == "4 trials went to their end, expected at least 5"
    assert found.agreements == ()
    assert found.num_discarded == 1


def test_encoders_and_fidelities_are_not_mixed(tmp_path, four_epochs, config, made_up):
    mixed = [
        *noisy(made_up, 5),
        *(dataclasses.replace(t, number=t.number + 5, encoder="egnn") for t in noisy(made_up, 5)),
    ]
    one = write(tmp_path / "one", four_epochs, mixed)
    other = write(tmp_path / "other", config, [])
    append(other, made_up(0))
    found = report([one, other])
    assert [(each.encoder, each.num_trials) for each in found] == [
        ("egnn", 5), ("painn", 1), ("painn", 5),
    ]  # fmt: skip
    assert "10 epochs" in found[1].title


def test_trials_of_several_searches_count_together(tmp_path, four_epochs, made_up):
    folders = [write(tmp_path / str(n), four_epochs, noisy(made_up, 3, seed=n)) for n in range(2)]
    (found,) = report(folders)
    assert found.num_trials == 6
    assert not found.refused


def test_equal_errors_have_no_order(made_up):
    assert agreements([made_up(n).points for n in range(6)], 4) == []

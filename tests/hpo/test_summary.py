"""What a search came to, in numbers and in pictures."""

import pytest

from hydracalc.hpo import plots, summary
from hydracalc.hpo.journal import append, begin
from hydracalc.hpo.trial import write_json


@pytest.fixture
def trials(made_up):
    return [
        made_up(0, 2.0),
        made_up(1, 1.0),
        made_up(2, 3.0, status="discarded", epochs=1),
        made_up(3, status="failed", epochs=2, reason="x"),
    ]


def test_epochs_energy_and_workers_are_counted(trials):
    found = summary.summarize(trials)
    assert found.counts == {"done": 2, "discarded": 1, "failed": 1}
    assert (found.best, found.objective) == ("0001", 1.0)
    assert found.epochs == 4 + 4 + 1 + 2
    assert found.epochs_saved == 3
    assert found.saved == pytest.approx(3 / 12)
    assert found.energy_joule == 110
    assert (found.energy_discarded_joule, found.energy_failed_joule) == (10, 20)
    assert found.energy_is_estimate
    assert "estimate" in found.energy_source
    assert summary.summarize([]).best == ""


def test_workers_are_busy_while_their_trials_run(made_up):
    """Two workers: one for 90 s, the other for the first 30 of them; then nobody for an hour."""
    some = [
        made_up(0, begun=0.0, ended=90.0),
        made_up(1, begun=0.0, ended=30.0),
        made_up(2, begun=3690.0, ended=3720.0, worker=0),
    ]
    assert summary.busy_part(some) == pytest.approx((90 + 30 + 30) / (2 * 120))
    assert summary.busy_part(some[:1]) == 1.0
    assert summary.busy_part([]) == 0.0


def test_the_front_is_over_what_all_trials_have(tmp_path, config, made_up):
    begin(tmp_path, config, goes_on=False)
    some = [
        made_up(0, 1.0, energy_joule=90.0),
        made_up(1, 2.0, energy_joule=10.0),
        made_up(2, 3.0, energy_joule=20.0),
    ]
    for trial in some:
        append(tmp_path, trial)
    rows = summary.rows_of(tmp_path, some)
    found = summary.front_of(rows)
    assert {row["name"] for row in found} == {"0000", "0001"}
    assert "latency_ms" not in found[0]
    write_json(tmp_path / "latency.json", {"median": {"0000": 2.0, "0001": 2.0, "0002": 1.0}})
    rows = summary.rows_of(tmp_path, some)
    assert len(summary.front_of(rows)) == 3
    assert [row["name"] for row in summary.front_of(rows, ("val_force_mae",))] == ["0000"]
    with pytest.raises(ValueError, match="val_stress_mae is None"):
        summary.front_of(rows, ("val_stress_mae",))
    assert summary.front_of([]) == []
    assert plots.front(rows, found, "energy, J").startswith(b"\x89PNG")


def test_pictures_show_trials_of_every_kind(trials):
    for draw in (lambda: plots.progress(trials, "val_force_mae"), lambda: plots.workers(trials)):
        assert draw().startswith(b"\x89PNG")
    only_failed = [trial for trial in trials if trial.status == "failed"]
    assert plots.progress(only_failed, "val_force_mae").startswith(b"\x89PNG")

"""Validation errors of a trial, read from what its run writes down."""

import json
import math

import pytest

from hydracalc.hpo.config import FidelityConfig, ObjectiveConfig
from hydracalc.hpo.curve import errors_of, read_curve

EPOCHS = FidelityConfig(epochs=4)


def record(epoch, forces=(1.0, 4.0), **more):
    keys = {f"val/{b}/force_mae_eV_per_A": f for b, f in zip("ab", forces, strict=True)}
    return {"epoch": epoch, "step": epoch, "seconds": 10.0 * epoch, **keys, **more}


def write(folder, *records):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))


def test_an_epoch_done_again_after_a_kill_counts_once(tmp_path):
    write(tmp_path, {"epoch": 0, "loss": 1.0}, record(1), record(2), record(2, (0.5, 0.5)))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "seconds": 9')  # being written
    curve = read_curve(tmp_path, ObjectiveConfig(), EPOCHS)
    assert [(p.epoch, p.progress, p.value) for p in curve] == [(1, 0.25, 2.5), (2, 0.5, 0.5)]
    assert read_curve(tmp_path / "none", ObjectiveConfig(), EPOCHS) == []


def test_branches_become_one_number_as_the_objective_says():
    mean, geometric = ObjectiveConfig(), ObjectiveConfig(over_branches="geometric")
    assert errors_of(record(1), mean) == {"val_force_mae": 2.5}
    assert errors_of(record(1), geometric)["val_force_mae"] == pytest.approx(2.0)
    assert errors_of(record(1), ObjectiveConfig(branches=("b",)))["val_force_mae"] == 4.0
    with pytest.raises(ValueError, match="no validation errors of branch 'c'.*a, b"):
        errors_of(record(1), ObjectiveConfig(branches=("c",)))


def test_metrics_are_weighed_and_what_is_missing_is_no_number(tmp_path):
    both = ObjectiveConfig(metrics={"val_energy_mae": 2.0, "val_force_mae": 1.0})
    more = {"val/a/energy_mae_eV_per_atom": 0.25}
    write(tmp_path, record(1, **more), record(2), record(3, (None, 1.0), **more))
    values = [point.value for point in read_curve(tmp_path, both, EPOCHS)]
    assert values[0] == 3.0
    assert math.isnan(values[1])
    assert math.isnan(values[2])


def test_progress_is_by_epochs_or_by_time_whichever_is_further(tmp_path):
    write(tmp_path, record(1), record(3, seconds=90.0))
    curve = read_curve(tmp_path, ObjectiveConfig(), FidelityConfig(epochs=4, minutes=1.0))
    assert [point.progress for point in curve] == [0.25, 1.0]

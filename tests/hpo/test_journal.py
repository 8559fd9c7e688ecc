"""The journal of a search: whole lines count, half ones are left out, damage is told."""

import dataclasses
import subprocess
import sys

import pytest

from hydracalc.errors import DataError
from hydracalc.hpo.journal import (
    JOURNAL,
    SETTINGS,
    append,
    begin,
    only_writer,
    read_journal,
    read_settings,
)


@pytest.fixture
def folder(tmp_path, config):
    begin(tmp_path, config, goes_on=False)
    return tmp_path


def test_trials_read_back_equal(folder, made_up):
    written = [made_up(0), made_up(1, status="failed", reason="x"), made_up(2, epochs=2)]
    written[2].metrics["val_stress_mae"] = float("nan")
    for trial in written:
        append(folder, trial)
    del written[2].metrics["val_stress_mae"]
    assert read_journal(folder) == written


def test_a_line_half_written_is_left_out_and_taken_away(folder, made_up):
    append(folder, made_up(0))
    with (folder / JOURNAL).open("a") as file:
        file.write('{"number": 1, "status": "do')
    assert len(read_journal(folder)) == 1
    assert len(read_journal(folder, repair=True)) == 1
    append(folder, made_up(1))
    assert [trial.number for trial in read_journal(folder)] == [0, 1]


@pytest.mark.parametrize("line", ["{}", "no JSON", "[1]"])
def test_a_damaged_line_is_told_with_its_number(folder, made_up, line):
    append(folder, made_up(0))
    with (folder / JOURNAL).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"journal\.jsonl, line 2: no trial"):
        read_journal(folder)


def test_a_trial_that_is_there_twice_is_damage(folder, made_up):
    append(folder, made_up(3))
    append(folder, made_up(3))
    with pytest.raises(DataError, match="expected each once"):
        read_journal(folder)


def test_settings_read_back_equal_and_may_change_where_trials_do_not(folder, config):
    assert read_settings(folder) == config
    begin(folder, dataclasses.replace(config, trials=99, workers=7), goes_on=True)
    longer = dataclasses.replace(config, fidelity=type(config.fidelity)(epochs=99))
    with pytest.raises(ValueError, match="fidelity was .*'epochs': 10.* is .*'epochs': 99"):
        begin(folder, longer, goes_on=True)


def test_a_folder_without_a_search_says_so(tmp_path, folder, config):
    for call in (read_journal, read_settings):
        with pytest.raises(ValueError, match="there is no search"):
            call(tmp_path / "none")
    (folder / SETTINGS).write_text('{"format_version": 1, "search": {}}')
    with pytest.raises(DataError, match="the settings are damaged"):
        read_settings(folder)
    (folder / SETTINGS).write_text('{"format_version": 9}')
    with pytest.raises(ValueError, match="format 9, expected 1"):
        read_settings(folder)


def test_two_processes_do_not_lead_one_search(folder):
    code = (
        "import sys\nfrom pathlib import Path\nfrom hydracalc.hpo.journal import only_writer\n"
        "with only_writer(Path(sys.argv[1])): pass"
    )
    with only_writer(folder) as token:
        assert token
        done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    assert "another process leads this search" in done.stderr

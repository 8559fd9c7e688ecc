"""`leakage` as a table and as JSON."""

import json

import pytest
from click.testing import CliRunner
from published import CARD, make_structure

from hydracalc.cli.leakage import leakage_command
from hydracalc.shards.writer import ShardWriter


def run(*arguments):
    return CliRunner().invoke(leakage_command, list(map(str, arguments)))


@pytest.fixture
def folder(tmp_path):
    with ShardWriter(tmp_path / "own", card=CARD) as writer:
        for number in range(30):
            side = "test" if number % 5 == 0 else "train"
            writer.add(make_structure(number, ((8, 1, 1), (6, 1, 1))[number % 2]), split=side)
    return tmp_path / "own"


def test_the_table_has_both_splits(folder):
    text = run(folder).stdout
    for expected in ("stored split", "random split", "near duplicate trains", "30 of 30"):
        assert expected in text
    assert "composition also trains" in text


def test_json_has_the_numbers_and_options_arrive(folder):
    options = ["--rattle", 0.5, "--seed", 3, "--max-structures", 20]
    report = json.loads(run(folder, "--json", *options).stdout)
    assert (report["rattle"], report["seed"]) == (0.5, 3)
    assert (report["num_structures"], report["num_examined"]) == (30, 15)
    assert report["stored"]["num_test"] == 3
    assert report["random"]["exact_duplicates"] == 0
    assert report["optimism"] > 0


def test_bad_options_are_named(folder, tmp_path):
    assert "rattle is -1.0" in str(run(folder, "--rattle", -1).exception)
    assert "no such folder" in str(run(tmp_path / "nowhere").exception)

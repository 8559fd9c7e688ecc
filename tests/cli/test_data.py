"""`hydracalc data` end to end, on a dataset of our own."""

import json

import pytest
from click.testing import CliRunner
from published import Handed, make_structure

from hydracalc.cli.main import main

KINDS = ((8, 1, 1), (6, 1, 1), (6, 8))


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The only adapter there is hands out our own structures."""
    structures = [make_structure(n, KINDS[n % 3], group=f"g{n % 30}") for n in range(90)]
    structures.append(make_structure(99, forces=[[0, 0, 150.0]] * 3))

    def load(dataset):
        assert dataset == "own"
        return Handed(structures, {"no label": 2})

    monkeypatch.setattr("hydracalc.ingest.catalog.load_adapter", load)


def run(*arguments):
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    result = run("prepare", "own", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    return tmp_path / "out"


def read_json(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_list_names_every_dataset():
    rows = read_json("list")
    assert all({"id", "title", "theory", "license", "elements"} <= set(row) for row in rows)
    result = run("list")
    assert result.exit_code == 0
    for row in rows:
        assert row["id"] in result.stdout
        assert row["title"] in result.stdout


def test_prepare_reports_what_it_kept_and_left_out(tmp_path):
    result = run("prepare", "own", tmp_path, "-o", tmp_path / "out")
    assert "force above limit 1, no label 2" in result.stdout
    report = read_json("prepare", "own", tmp_path, "-o", tmp_path / "json")
    assert sum(report["num_structures"].values()) == 90
    assert report["dropped"] == {"force above limit": 1, "no label": 2}
    assert set(report["references_eV"]) == {"H", "C", "O"}


def test_prepare_takes_limits_and_fractions(tmp_path):
    options = ["--limit", 60, "--seed", 5, "--val", 0.4, "--test", 0, "--max-force", "inf"]
    report = read_json("prepare", "own", tmp_path, "-o", tmp_path / "out", *options)
    assert sum(report["num_structures"].values()) == 60
    assert report["num_structures"]["test"] == 0
    assert report["num_structures"]["val"] > 5
    settings = read_json("info", tmp_path / "out")["settings"]
    assert settings["limit"] == 60
    assert settings["split"] == {"seed": 5, "val": 0.4, "test": 0.0, "join_near": 0.0}
    assert settings["screen"]["max_force"] is None


def test_info_shows_the_manifest(folder):
    content = read_json("info", folder)
    assert content["card"]["branch"] == "own"
    assert content["num_structures"]["train"] > 50
    text = run("info", folder).stdout
    assert content["sha256"] in text
    assert "CC0-1.0" in text


def test_validate_of_whole_shards_ends_well(folder):
    assert read_json("validate", folder) == {"path": str(folder), "ok": True, "problems": []}
    assert run("validate", folder).stdout == f"{folder}: ok\n"


def test_validate_of_damaged_shards_ends_with_one_and_names_the_file(folder):
    (folder / "shard-00000-00000.bp" / "data.0").write_bytes(b"")
    result = run("validate", folder)
    assert result.exit_code == 1
    assert "data.0: has 0 bytes" in result.stderr
    result = run("validate", folder, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False


@pytest.mark.parametrize("command", ["info", "stats"])
def test_damage_ends_with_one(folder, command):
    (folder / "manifest.json").write_bytes(b"{")
    result = run(command, folder)
    assert result.exit_code == 1
    assert "manifest.json: not JSON" in result.stderr


def test_stats_are_tables_or_json(folder):
    stats = read_json("stats", folder)
    assert stats["elements"]["H"]["structures"] == 60
    text = run("stats", folder).stdout
    assert "normalized energy, eV/atom" in text
    assert "largest force, eV/A" in text


@pytest.mark.parametrize("command", ["info", "stats", "validate"])
def test_a_missing_folder_is_bad_input(tmp_path, command):
    result = run(command, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "there is no such folder" in result.stderr


def test_an_existing_output_is_bad_input(folder):
    result = run("prepare", "own", folder.parent, "-o", folder)
    assert result.exit_code == 2
    assert "out: exists" in result.stderr


def test_an_unwritable_output_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("prepare", "own", tmp_path, "-o", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert "error: " in result.stderr


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--val", 1.5, "sum below 1"),
        ("--max-force", -1, "max_force is -1.0"),
        ("--limit", 0, "limit is 0"),
    ],
)
def test_an_option_without_sense_is_bad_input(tmp_path, option, value, message):
    result = run("prepare", "own", tmp_path, "-o", tmp_path / "out", option, value)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_long_preparation_writes_lines_to_a_log(tmp_path, monkeypatch):
    monkeypatch.setattr("hydracalc.cli.tables._LOG_EVERY", 0.0)
    result = run("prepare", "own", tmp_path, "-o", tmp_path / "out")
    assert "91 structures read" in result.stderr

"""`stats` of one folder, of several, and as a picture."""

import json
import sys

import pytest
from click.testing import CliRunner
from published import CARD, make_structure

from hydracalc.cli.stats import stats_command
from hydracalc.shards.writer import ShardWriter


def run(*arguments):
    return CliRunner().invoke(stats_command, list(map(str, arguments)))


@pytest.fixture
def folders(tmp_path):
    for name, formulas in {"a": [(8, 1, 1)] * 4, "b": [(8, 1, 1), (6, 8), (6, 1)]}.items():
        with ShardWriter(tmp_path / name, card=CARD) as writer:
            for number, numbers in enumerate(formulas):
                writer.add(make_structure(number, numbers), split="train")
    return tmp_path / "a", tmp_path / "b"


def test_one_folder_as_json_has_its_keys_at_the_top(folders):
    stats = json.loads(run(folders[0], "--json").stdout)
    assert {
        "branch",
        "num_structures",
        "num_atoms",
        "elements",
        "normalized_energy_eV_per_atom",
        "force_rms_eV_per_A",
        "largest_force_eV_per_A",
        "largest_stress_eV_per_A3",
        "charges",
        "spin_multiplicities",
        "references_eV",
    } <= set(stats)
    assert stats["elements"]["H"] == {"atoms": 8, "structures": 4}
    assert stats["coverage"]["not_determined"] == ["H", "O"]


def test_one_folder_as_tables(folders):
    text = run(folders[0]).stdout
    for expected in (
        "rank 1 of 2",
        "not determined",
        "normalized energy, eV/atom",
        "largest force, eV/A",
    ):
        assert expected in text
    assert "in common" not in text


def test_several_folders_have_an_overlap(folders):
    both = json.loads(run(*folders, "--json").stdout)
    assert set(both["folders"]) == {"a", "b"}
    assert both["overlap"]["formulas"] == [[1, 1], [1, 3]]
    text = run(*folders).stdout
    assert "reduced formulas in common" in text
    assert "33.3%" in text


def test_a_picture_is_drawn(folders, tmp_path):
    result = run(*folders, "--plot", tmp_path / "stats.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "stats.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_matplotlib_is_told_before_anything_is_read(folders, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hydracalc.survey.stats_plot", None)
    result = run(tmp_path / "nowhere", "--plot", "x.png")
    assert "pip install 'hydracalc[plots]'" in str(result.exception)


def test_a_folder_given_twice_is_refused(folders):
    assert "given twice" in str(run(folders[0], folders[0]).exception)

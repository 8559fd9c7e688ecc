"""`hydracalc data check` holds labels against physics and shows what fits where a card is open."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hydracalc.cli.main import main

DATASETS = Path(__file__).parents[2] / "datasets"
SAMPLE = DATASETS / "rmd17" / "sample"


def run(*arguments):
    return CliRunner().invoke(main, ["data", "check", *map(str, arguments)])


@pytest.fixture
def wrong(tmp_path):
    """rMD17 with a card that takes kcal/mol for kJ/mol in the forces."""
    folder = tmp_path / "rmd17"
    shutil.copytree(DATASETS / "rmd17", folder, ignore=shutil.ignore_patterns("slice"))
    card = folder / "card.toml"
    text = card.read_text().replace('"kcal/mol/Angstrom"', '"kJ/mol/Angstrom"')
    assert text != card.read_text()
    card.write_text(text)
    return folder


def test_right_labels_pass_and_what_cannot_be_told_is_said():
    result = run("rmd17", SAMPLE)
    assert result.exit_code == 0, result.output
    assert "forces against energy" in result.stdout
    assert "failed" not in result.stdout
    assert "not applicable" in result.stdout  # molecules have no stress


def test_a_wrong_unit_fails_with_exit_code_one(wrong):
    result = run(wrong, SAMPLE, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert not report["holds"]
    failed = {f["name"] for f in report["findings"] if f["verdict"] == "failed"}
    assert "forces against energy" in failed


def test_the_value_that_fits_is_found(wrong):
    result = run(wrong, SAMPLE, "--open", "forces", "--limit", 300, "--json")
    assert result.exit_code == 0, result.output
    fitting = [row["forces"] for row in json.loads(result.stdout) if row["fits"]]
    assert fitting == ["kcal/mol/Angstrom"]


def test_an_unknown_entry_is_bad_input():
    result = run("rmd17", SAMPLE, "--open", "force")
    assert result.exit_code == 2
    assert "did you mean 'forces'" in result.stderr

"""`label` from files and elements to shards, and its options."""

import json

import pytest
from ase.build import bulk, molecule
from click.testing import CliRunner

from hydracalc.cli.label import label_command
from hydracalc.shards.reader import open_shards

EMT = ["-c", "emt", "--theory", "EMT", "--name", "metals", "--val", 0, "--test", 0]


def run(*arguments):
    return CliRunner().invoke(label_command, list(map(str, arguments)))


def read_json(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


@pytest.fixture
def metals(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for symbol in ("Cu", "Al"):
        bulk(symbol, cubic=True).write("metals.extxyz", append=True)
    return "metals.extxyz"


def test_structures_are_labelled_as_they_are(metals):
    report = read_json(metals, "-o", "out", *EMT, "--license", "CC0-1.0")
    assert report["num_structures"] == {"train": 2, "val": 0, "test": 0}
    assert report["computed_by"].startswith("ase.calculators.emt:EMT()")
    with open_shards("out") as shards:
        assert (shards.card.theory, shards.card.license) == ("EMT", "CC0-1.0")
        assert [s.source for s in shards.read([0, 1])] == ["metals:0", "metals:1"]


@pytest.mark.parametrize(
    ("options", "count", "source"),
    [
        (["rattled", "--count", 3, "--sigma", 0.05], 6, "metals:0/rattled-0000"),
        (
            ["strained", "--count", 2, "--volumes", 1, "--max-strain", 0.02],
            6,
            "metals:0/strained-0000",
        ),
        (
            ["md", "--count", 2, "--temperature", 100, "--temperature", 200, "--interval", 2]
            + ["--equilibration", 2, "--timestep", 1, "--friction", 0.1],
            8,
            "metals:0/md-100K-0000",
        ),
    ],
)
def test_structures_are_generated(metals, options, count, source):
    report = read_json(metals, "-o", "out", *EMT, "--seed", 3, "--generate", *options)
    assert report["num_structures"]["train"] == count
    with open_shards("out") as shards:
        assert shards.read([0])[0].source == source
        generation = shards.manifest.settings["generation"]
    assert generation["seed"] == 3
    assert generation["kind"] == options[0]


def test_dimers_are_of_symbols_and_of_the_elements_of_files(metals):
    options = ["--generate", "dimers", "--count", 4, "--shortest", 0.8, "--longest", 2]
    report = read_json(metals, "Ni", "-o", "out", *EMT, *options)
    assert report["num_structures"]["train"] == 6 * 4


def test_settings_reach_the_calculator_and_failures_are_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("N2", "CH4"):
        molecule(name).write(f"{name}.xyz")
    options = ["-c", "labellers:Stubborn", "--set", "stiffness=3.0", *EMT[2:]]
    result = run("N2.xyz", "CH4.xyz", "-o", "out", *options)
    assert result.exit_code == 0, result.output
    assert "labellers:Stubborn(stiffness=3.0)" in result.stdout
    assert "calculator failed (SCFError) 1" in result.stdout
    assert "CH4:0: SCFError: not after 100 cycles" in result.stdout


def test_dynamics_take_a_calculator_of_their_own(metals):
    options = ["--generate", "md", "--count", 1, "--interval", 1, "--equilibration", 0]
    moving = ["--md-calculator", "labellers:Springs", "--md-set", "stiffness=2.0"]
    read_json(metals, "-o", "out", *EMT, *options, *moving)
    with open_shards("out") as shards:
        stated = shards.manifest.settings["dynamics"]
    assert stated == {"path": "labellers:Springs", "settings": {"stiffness": 2.0}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sigma", 0.1], "--sigma has no meaning for structures as they are given"),
        (["--generate", "rattled", "--max-strain", 0.1], "--max-strain has no meaning"),
        (["--generate", "rattled", "--temperature", 300], "--temperature has no meaning"),
        (["--generate", "rattled", "--md-calculator", "emt"], "without --generate md"),
        (["--generate", "md", "--md-set", "a=1"], "without --md-calculator"),
        (["--generate", "dimers", "--group", "file"], "--group has no meaning"),
        (["--generate", "rattled", "--count", 0], "count is 0"),
        (["--group", "colour"], "group is 'colour'"),
        (["--set", "charge=1"], "every structure states its own"),
        (["--set", "cutoff"], "expected key=value"),
        (["--ranks", -1], "number of processes is -1"),
        (["--val", 2], "sum below 1"),
    ],
)
def test_options_without_sense_are_refused(metals, options, message):
    result = run(metals, "-o", "out", *EMT, *options)
    assert message in str(result.exception)


def test_level_of_theory_and_name_must_be_stated(metals):
    result = run(metals, "-o", "out", "-c", "emt", "--name", "x")
    assert "Missing option '--theory'" in result.output
    result = run(metals, "-o", "out", "-c", "emt", "--theory", "EMT")
    assert "Missing option '--name'" in result.output

"""`hydracalc screen` and `hydracalc screen read`."""

import csv
import json

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from screened import make_structures

from hydracalc.calculator import HydraCalculator


@pytest.fixture
def many(folder):
    """Ten structures that the model knows, and gold, which it does not."""
    ase.io.write("many.extxyz", [*make_structures(10), bulk("Au")])
    return "many.extxyz"


def test_the_report_counts_and_names_everything(hydracalc, many, small_model):
    report = hydracalc("screen", many, "-m", small_model, "-o", "out.bp", as_json=True)
    assert report["counts"] == {"predicted": 10, "unknown element": 1}
    assert list(report["first_left_out"]) == ["many.extxyz:10"]
    assert report["structures_per_second"] > 0
    again = hydracalc("screen", many, "-m", small_model, "-o", "out.bp")
    assert "11, 0 of them now" in again.output
    assert "unknown element 1" in again.output
    failed = hydracalc("screen", "read", "out.bp", "--failed", as_json=True)
    assert [(row["name"], row["reason"]) for row in failed] == [
        ("many.extxyz:10", "unknown element")
    ]


def test_the_best_are_shown_and_written(hydracalc, many, small_model):
    options = ("--top-k", 3, "--by", "max_force", "--filter", "num_atoms<8", "--forces")
    shown = hydracalc("screen", many, "-m", small_model, "-o", "out.bp", *options, "--table")
    rows = hydracalc("screen", "read", "out.bp", as_json=True)
    assert len(rows) == 3
    assert all(row["name"] in shown.output for row in rows)
    forces = [row["max_force"] for row in rows]
    assert forces == sorted(forces)
    hydracalc("screen", "read", "out.bp", "-o", "best.extxyz")
    for atoms, row in zip(ase.io.read("best.extxyz", ":"), rows, strict=True):
        assert atoms.info["name"] == row["name"]
        assert atoms.get_potential_energy() == pytest.approx(row["energy"], abs=1e-6)
        largest = np.linalg.norm(atoms.get_forces(), axis=1).max()
        assert largest == pytest.approx(row["max_force"], abs=1e-6)
    hydracalc("screen", "read", "out.bp", "--all", "-o", "all.csv")
    with open("all.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 10
    assert float(lines[0]["energy (eV)"]) == pytest.approx(
        float(lines[0]["energy_per_atom (eV/atom)"]) * int(lines[0]["num_atoms"])
    )


def test_structures_are_relaxed(hydracalc, folder, small_model):
    for number, atoms in enumerate(make_structures(4)):
        ase.io.write(f"{number}.traj", [atoms])
    options = ("-m", small_model, "--relax", "--steps", 2, "--fmax", 0.01)
    report = hydracalc(
        "screen", *[f"{n}.traj" for n in range(4)], *options, "-o", "a", as_json=True
    )
    assert report["counts"] == {"predicted": 4}
    assert {row["steps"] for row in hydracalc("screen", "read", "a", as_json=True)} == {2}


def test_the_branch_is_chosen_as_everywhere(hydracalc, folder, small_model):
    molecule("H2O").write("water.traj")
    hydracalc("screen", "water.traj", "-m", small_model, "-b", "general", "-o", "out.bp")
    (row,) = hydracalc("screen", "read", "out.bp", as_json=True)
    water = molecule("H2O")
    water.calc = HydraCalculator(small_model, branch="general")
    assert row["energy"] == pytest.approx(water.get_potential_energy(), abs=1e-9)
    assert row["weight.general"] == 1
    assert row["branch_energy.organic"] is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--where", "max_forc<1"), "did you mean 'max_force'"),
        (("--where", "max_force"), "expected COLUMN"),
        (("--by", "beauty"), "unknown column 'beauty'"),
        (("--top", "0"), "top is 0"),
        (("--order", "best"), "unknown order 'best'"),
        (("--fmax", "0.1"), "only with --relax"),
        (("--relax", "--cell", "some"), "unknown cell 'some'"),
        (("-b", "metal"), "unknown branch 'metal'"),
        (("--block", "0"), "block is 0"),
    ],
)
def test_bad_options_are_told_at_once(hydracalc, many, small_model, options, message):
    result = hydracalc("screen", many, "-m", small_model, "-o", "out.bp", *options, code=2)
    assert message in result.output


def test_missing_input_and_foreign_folders_are_told(hydracalc, many, small_model, folder):
    result = hydracalc("screen", "none.xyz", "-m", small_model, "-o", "out.bp", code=2)
    assert "none.xyz: there is no such file" in result.output
    result = hydracalc("screen", many, many, "-m", small_model, "-o", "out.bp", code=2)
    assert "given twice" in result.output
    (folder / "other").mkdir()
    result = hydracalc("screen", "read", "other", code=2)
    assert "holds no results" in result.output
    result = hydracalc("screen", many, "-m", small_model, "-o", "other", code=2)
    assert "exists" in result.output


def test_help_speaks_of_structures(hydracalc):
    usage = hydracalc("screen", "--help").output.splitlines()[0]
    assert "screen [OPTIONS] STRUCTURES..." in usage
    assert json.dumps(usage).count("structures") == 0

"""`hydracalc check`: the table, JSON, exit codes, and wrong input told in one line."""

import pytest
from ase import Atoms

ARGON = ("--set", "sigma=3.4", "--set", "epsilon=0.0103", "--set", "smooth=true")
LJ = ("check", "-c", "ase.calculators.lj:LennardJones", *ARGON)


@pytest.fixture
def cluster(folder):
    """File of four atoms of argon, and its name."""
    corners = [[0, 0, 0], [3.7, 0.1, 0], [0.3, 3.8, 0], [0.2, 0, 3.9]]
    Atoms("Ar4", corners).write("argon.extxyz")
    return "argon.extxyz"


def test_a_calculator_that_passes_has_exit_code_zero(hydracalc, cluster):
    shown = hydracalc(*LJ, "--structures", cluster, "--only", "forces,stress,collision").stdout
    assert "precision  float64" in shown
    assert "2 passed, 0 failed, 1 not applicable" in shown
    assert "not periodic in all directions, so without stress" in shown
    assert "energies of float64 over steps of 0.002 A" in shown
    assert "rotation" not in shown


def test_a_calculator_that_fails_has_exit_code_one(hydracalc, cluster):
    options = ("-c", "subjects:Scaled", "--structures", cluster, "--only", "rotation,forces")
    report = hydracalc("check", *options, code=1, as_json=True)
    assert not report["passed"]
    assert report["structures"] == {"0: Ar4": "Ar4"}
    verdicts = {item["name"]: item["verdict"] for item in report["items"]}
    assert verdicts == {"forces": "failed", "rotation": "passed"}
    forces = report["items"][0]["measurements"][0]
    assert {"value", "mark", "unit", "why", "where", "passes"} <= set(forces)
    assert " !" in hydracalc("check", *options, code=1).stdout


def test_a_model_is_examined_with_the_branch_and_type_asked_for(hydracalc, small_model):
    options = ("-b", "organic", "--dtype", "float64", "--only", "forces,batching,permutation")
    report = hydracalc("check", small_model, *options, as_json=True)
    assert report["precision"] == "float64"
    assert "branch organic, float64" in report["subject"]
    assert [item["verdict"] for item in report["items"]] == ["passed"] * 3
    assert set(report["structures"].values()) >= {"C2H6O"}
    assert "does not know Al" in report["left_out"]["slab"]


def test_curves_are_drawn(hydracalc, cluster, folder):
    options = ("--structures", cluster, "--only", "dimers", "--plot", "curves.svg")
    hydracalc("check", "-c", "subjects:Sound", *options)
    assert "distance" in (folder / "curves.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected either MODEL, such as mtl-all, or --calculator"),
        (("mtl-all", "-c", "emt"), "expected either MODEL"),
        (("mtl-al",), "did you mean 'mtl-all'"),
        (("mtl-all", "--set", "a=1"), "--set has no meaning without --calculator"),
        (("-c", "emt", "-b", "ani1x"), "--branch has no meaning with --calculator"),
        (("-c", "emt", "--only", "force"), "did you mean 'forces'"),
        (("-c", "emt", "--set", "x"), "expected key=value"),
        (("-c", "ase.calculators.emt:EMTT"), "has no class EMTT"),
        (("-c", "emt", "--structures", "none.xyz"), "there is no such file"),
        (("-c", "emt", "--structures", "silicon.extxyz"), "answers for no structure"),
        (("-c", "emt", "--plot", "a.gif"), "picture format"),
        (("-c", "emt", "--plot", "a.png", "--only", "forces"), "nothing to draw without"),
    ],
)
def test_wrong_input_has_exit_code_two_and_one_message(hydracalc, folder, words, message):
    result = hydracalc("check", *words, code=2)
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1

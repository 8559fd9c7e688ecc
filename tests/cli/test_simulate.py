"""`hydracalc predict`, `relax` and `md` from a file to files."""

import ase.io
import numpy as np
import pytest

from hydracalc.calculator import HydraCalculator


def test_predict_agrees_with_the_calculator(hydracalc, folder, small_model):
    found = hydracalc("predict", "two.extxyz", "-m", small_model, as_json=True)["predictions"]
    for row, atoms in zip(found, ase.io.read("two.extxyz", ":"), strict=True):
        atoms.calc = HydraCalculator(small_model)
        assert row["energy_eV"] == pytest.approx(atoms.get_potential_energy())
        assert row["energy_eV_per_atom"] == pytest.approx(row["energy_eV"] / len(atoms))
        assert row["branch"] == "auto"
    assert found[0]["pressure_GPa"] is None
    assert found[1]["pressure_GPa"] is not None


def test_predict_writes_what_it_predicts(hydracalc, folder, small_model):
    arguments = ("two.extxyz", "methanol.xyz", "-b", "general", "--max-atoms", 7, "-o", "o.extxyz")
    text = hydracalc("predict", *arguments, "-m", small_model).stdout
    assert len(text.splitlines()) == 3
    frames = ase.io.read("o.extxyz", ":")
    assert len(frames) == 3
    for atoms in frames:
        assert atoms.info["branch"] == "general"
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = HydraCalculator(small_model, branch="general")
        assert energy == pytest.approx(atoms.get_potential_energy())
        np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-6)


def test_predict_by_all_branches_asks_those_that_know(hydracalc, folder, small_model):
    found = hydracalc("predict", "two.extxyz", "-b", "all", "-m", small_model, as_json=True)
    asked = [(row["structure"], row["branch"]) for row in found["predictions"]]
    assert asked == [
        ("two.extxyz:0", "organic"),
        ("two.extxyz:0", "general"),
        ("two.extxyz:1", "general"),
    ]


def test_predict_by_a_mixture(hydracalc, folder, small_model):
    options = ("predict", "methanol.xyz", "-m", small_model)
    organic, general, mixed = (
        hydracalc(*options, "-b", branch, as_json=True)["predictions"][0]["energy_eV"]
        for branch in ("organic", "general", "organic=0.25, general=0.75")
    )
    assert mixed == pytest.approx(0.25 * organic + 0.75 * general)


def test_relax_lowers_forces_and_writes_the_structure(hydracalc, folder, small_model):
    options = ("relax", "silicon.extxyz", "-m", small_model, "-b", "general")
    found = hydracalc(*options, "--fmax", 0.2, "-o", "relaxed.extxyz", as_json=True)
    assert found["converged"]
    assert found["fmax_eV_per_A"] <= 0.2
    assert found["energy_eV"] < found["energy_start_eV"]
    assert found["files"] == ["relaxed.extxyz"]
    relaxed = ase.io.read("relaxed.extxyz")
    assert relaxed.get_potential_energy() == pytest.approx(found["energy_eV"], abs=1e-6)
    np.testing.assert_allclose(relaxed.cell, ase.io.read("silicon.extxyz").cell, atol=1e-6)


def test_relax_moves_the_cell_where_asked(hydracalc, folder, small_model):
    options = ("relax", "silicon.extxyz", "-m", small_model, "--steps", 3, "--fmax", 1e-9)
    fixed = hydracalc(*options, as_json=True, code=1)
    free = hydracalc(*options, "--cell", "frechet", as_json=True, code=1)
    assert not fixed["converged"]
    assert free["volume_A3"] != pytest.approx(fixed["volume_A3"], abs=1e-6)


def test_relax_says_when_it_has_not_converged(hydracalc, folder, small_model):
    options = ("relax", "silicon.extxyz", "-m", small_model, "--steps", 1, "--fmax", 1e-9)
    assert "not converged after 1 steps" in hydracalc(*options, code=1).stderr


@pytest.mark.parametrize("ensemble", ["nve", "nvt", "npt"])
def test_md_writes_a_trajectory_and_a_log(hydracalc, folder, small_model, ensemble):
    options = ("--ensemble", ensemble, "--steps", 6, "--log-every", 2, "--timestep", 0.5)
    result = hydracalc(
        "md", "silicon.extxyz", "-m", small_model, *options, "--traj", "a.traj", "--pressure", 1
    )
    assert len(ase.io.read("a.traj", ":")) == 4
    log = (folder / "a.log").read_text().splitlines()
    assert log == result.stdout.splitlines()[:5]
    assert log[0].split()[:2] == ["step", "time/ps"]
    for part in ("ms_per_step", "mean_temperature_K", "drift_meV", "a.traj, a.log", ensemble):
        assert part in result.stdout


def test_md_names_its_files_after_the_structure(hydracalc, folder, small_model):
    options = ("md", "two.extxyz@0", "-m", small_model, "--steps", 2, "--log-every", 1)
    found = hydracalc(*options, as_json=True)
    assert found["files"] == ["two-md.traj", "two-md.log"]
    assert found["steps"] == 2
    assert (folder / "two-md.traj").exists()


def test_md_writes_extxyz(hydracalc, folder, small_model):
    options = ("--steps", 2, "--log-every", 1, "--traj", "a.extxyz")
    hydracalc("md", "methanol.xyz", "-m", small_model, *options)
    hydracalc("md", "methanol.xyz", "-m", small_model, *options)
    assert len(ase.io.read("a.extxyz", ":")) == 3  # replaced, not added to


def test_a_seed_is_one_trajectory(hydracalc, folder, small_model):
    def end(seed):
        options = ("--steps", 5, "--seed", seed, "--traj", "a.traj")
        hydracalc("md", "methanol.xyz", "-m", small_model, *options)
        return ase.io.read("a.traj").positions

    state = np.random.get_state()[1].copy()  # noqa: NPY002  # it must not be used
    np.testing.assert_array_equal(end(1), end(1))
    assert np.abs(end(1) - end(2)).max() > 1e-4
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "none.xyz"), "none.xyz: there is no such file"),
        (("predict", "methanol.xyz", "-b", "organik"), "did you mean 'organic'"),
        (("predict", "silicon.extxyz", "-b", "organic"), "does not know Si"),
        (("predict", "methanol.xyz", "-b", "organic=x"), "weight of branch 'organic' is 'x'"),
        (("predict", "methanol.xyz", "--dtype", "float31"), "did you mean 'float32'"),
        (("predict", "methanol.xyz", "-o", "nowhere/o.extxyz"), "nowhere"),
        (("relax", "two.extxyz"), "has 2 structures, expected one; choose with FILE@INDEX"),
        (("relax", "methanol.xyz", "--cell", "frechet"), "needs a periodic structure"),
        (("relax", "silicon.extxyz", "--cell", "frechett"), "did you mean 'frechet'"),
        (("relax", "silicon.extxyz", "--fmax", "0"), "fmax is 0"),
        (("md", "methanol.xyz", "--ensemble", "npt"), "needs a periodic structure"),
        (("md", "methanol.xyz", "--ensemble", "nvtt"), "did you mean 'nvt'"),
        (("md", "methanol.xyz", "--steps", "0"), "steps is 0"),
        (("md", "methanol.xyz", "--traj", "a.mp4"), "unknown trajectory format '.mp4'"),
        (("md", "methanol.xyz", "--traj", "nowhere/a.traj"), "nowhere"),
    ],
)
def test_bad_input_is_one_message_and_code_two(hydracalc, folder, small_model, arguments, message):
    result = hydracalc(*arguments, "-m", small_model, code=2)
    assert message in result.stderr
    assert result.stderr.count("error:") == 1


def test_a_damaged_model_is_code_one(hydracalc, folder, small_model):
    with open(small_model, "rb") as source:
        (folder / "half.safetensors").write_bytes(source.read()[:5000])
    hydracalc("predict", "methanol.xyz", "-m", "half.safetensors", code=1)

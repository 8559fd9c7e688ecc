"""`hydracalc eval` on labelled files."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from builders import ORGANIC, make_card, rattled

from hydracalc.calculator import HydraCalculator
from hydracalc.shards.writer import ShardWriter
from hydracalc.structure import from_atoms


@pytest.fixture
def labelled(folder, small_model):
    """Predictions of the general branch, 10 meV/atom and 0.1 eV/Angstrom away."""
    frames = ase.io.read("two.extxyz", ":")
    calc = HydraCalculator(small_model, branch="general")
    for atoms, result in zip(frames, calc.evaluate(frames), strict=True):
        atoms.calc = SinglePointCalculator(
            atoms, energy=result["energy"] - 0.01 * len(atoms), forces=result["forces"] + 0.1
        )
    frames.append(ase.io.read("methanol.xyz"))
    ase.io.write("labelled.extxyz", frames)
    return "labelled.extxyz"


def test_errors_are_found_and_the_unlabelled_counted(hydracalc, labelled, small_model):
    found = hydracalc("eval", labelled, "-m", small_model, "-b", "general", as_json=True)
    errors = found["branches"]["general"]
    assert errors["num_structures"] == 2
    assert errors["energy_mae_eV_per_atom"] == pytest.approx(0.01, abs=1e-6)
    assert errors["force_rmse_eV_per_A"] == pytest.approx(0.1, abs=1e-6)
    assert set(errors["by_element"]) == {"H", "C", "O", "Si"}
    assert found["left_out"] == {"no energy label": 1}


def test_unknown_elements_are_counted(hydracalc, labelled, small_model):
    text = hydracalc("eval", labelled, "-m", small_model, "-b", "organic").stdout
    assert "left out 1: unknown to the branch: Si" in text
    assert "branch organic: 1 structures" in text


def test_reference_keys_come_before_results(hydracalc, labelled, small_model):
    frames = ase.io.read(labelled, ":2")
    for atoms in frames:
        atoms.info["REF_energy"] = atoms.get_potential_energy() + 0.01 * len(atoms)
        atoms.arrays["REF_forces"] = atoms.get_forces() - 0.1
    ase.io.write("ref.extxyz", frames)
    found = hydracalc("eval", "ref.extxyz", "-m", small_model, "-b", "general", as_json=True)
    errors = found["branches"]["general"]
    assert errors["energy_mae_eV_per_atom"] == pytest.approx(0, abs=1e-6)
    assert errors["force_mae_eV_per_A"] == pytest.approx(0, abs=1e-6)


def test_stress_of_a_file_is_ases(hydracalc, folder, small_model):
    atoms = ase.io.read("silicon.extxyz")
    calc = HydraCalculator(small_model, branch="general")
    atoms.calc = calc
    results = {name: atoms.calc.get_property(name, atoms) for name in ("energy", "stress")}
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.write("stress.extxyz")
    found = hydracalc("eval", "stress.extxyz", "-m", small_model, "-b", "general", as_json=True)
    assert found["branches"]["general"]["stress_mae_eV_per_A3"] == pytest.approx(0, abs=1e-7)
    assert np.abs(results["stress"]).max() > 1e-4


@pytest.fixture
def shards(folder, small_model):
    """Methanol of the organic branch: two to train on, two to test, labels 20 meV/atom away."""
    calc = HydraCalculator(small_model, branch="organic")
    with ShardWriter("shards", card=make_card("organic", ORGANIC)) as writer:
        for seed, split in enumerate(("train", "train", "test", "test")):
            atoms = rattled(ase.io.read("methanol.xyz"), seed)
            (result,) = calc.evaluate([atoms])
            structure = replace(
                from_atoms(atoms, branch="organic", source=f"m{seed}"),
                energy=result["energy"] + 0.02 * len(atoms),
                forces=result["forces"],
            )
            writer.add(structure, split=split)
    return folder / "shards"


def test_shards_are_answered_by_their_own_branch(hydracalc, shards, small_model):
    found = hydracalc("eval", shards, "-m", small_model, as_json=True)["branches"]
    assert list(found) == ["organic"]
    assert found["organic"]["num_structures"] == 2
    assert found["organic"]["energy_mae_eV_per_atom"] == pytest.approx(0.02)
    everything = hydracalc("eval", shards, "-m", small_model, "--split", "all", as_json=True)
    assert everything["branches"]["organic"]["num_structures"] == 4
    other = hydracalc("eval", shards, "-m", small_model, "-b", "general", as_json=True)
    assert list(other["branches"]) == ["general"]


def test_an_unknown_split_and_damaged_shards_are_told_apart(hydracalc, shards, small_model):
    result = hydracalc("eval", shards, "-m", small_model, "--split", "tset", code=2)
    assert "did you mean 'test'" in result.stderr
    (shards / "manifest.json").unlink()
    assert "manifest" in hydracalc("eval", shards, "-m", small_model, code=1).stderr


def test_a_parity_picture_is_written(hydracalc, labelled, small_model, folder):
    hydracalc("eval", labelled, "-m", small_model, "-b", "general", "--parity", "p.png")
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_evaluate_is_a_failed_check(hydracalc, folder, small_model):
    result = hydracalc("eval", "two.extxyz", "-m", small_model, code=1)
    assert "no structure to evaluate; left out: {'no energy label': 2}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.extxyz",), "there is no such file"),
        (("two.extxyz", "-b", "genral"), "did you mean 'general'"),
    ],
)
def test_bad_input_is_code_two(hydracalc, folder, small_model, arguments, message):
    assert message in hydracalc("eval", *arguments, "-m", small_model, code=2).stderr

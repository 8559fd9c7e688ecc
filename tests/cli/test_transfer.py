"""`hydracalc transfer`: single-task models are derived, trained, and held against the run."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from builders import TOY_MODEL, labelled, make_card

from hydracalc.recipe import load_recipe
from hydracalc.shards.writer import ShardWriter
from hydracalc.validation.single_task import differences, finished_run, single_recipes

RECIPE = (
    """
name = "both"
threads = 1

[[branches]]
name = "copper"
shards = "copper"
share = 0.5

[[branches]]
name = "oxide"
shards = "oxide"

"""
    + TOY_MODEL
    + """
[trainer.training]
epochs = 2

[trainer.sampler]
alpha = 1.0
max_atoms = 64
"""
)
FORMULAS = {"copper": ("Cu3", "Cu4"), "oxide": ("Cu2O", "Cu3O2", "CuO")}
COUNTS = {"copper": 60, "oxide": 40}  # in all; a half is trained on


def write_shards(folder, branch):
    rng = np.random.default_rng(len(branch))
    with ShardWriter(folder / branch, card=make_card(branch, ("Cu", "O"))) as writer:
        for k in range(COUNTS[branch]):
            atoms = Atoms(FORMULAS[branch][k % len(FORMULAS[branch])])
            corners = rng.permutation(np.mgrid[:2, :2, :2].reshape(3, -1).T)[: len(atoms)]
            atoms.positions = corners * 2.2 + rng.normal(0, 0.1, (len(atoms), 3))
            named = {"branch": branch, "group": str(k), "source": f"cluster-{k}"}
            writer.add(labelled(atoms, EMT(), **named), split=("train", "test")[k % 2])


@pytest.fixture
def workplace(tmp_path, monkeypatch, hydracalc):
    """Shards of two datasets, and a finished run."""
    monkeypatch.chdir(tmp_path)
    for branch in FORMULAS:
        write_shards(tmp_path, branch)
    (tmp_path / "both.toml").write_text(RECIPE)
    hydracalc("pretrain", "both.toml", "-o", "run")
    return tmp_path


def test_single_recipes_have_the_updates_or_the_passes_of_the_run(workplace):
    """30 and 20 structures of shares 0.5 and 1: 15 and 20 of 35 parts of 50 draws are theirs."""
    run = finished_run("run/model.safetensors")
    folders = {name: workplace / name for name in FORMULAS}
    run = replace(run, epochs=700)
    passes = single_recipes(run, folders, equal="passes")
    epochs = {name: recipe.trainer.training.epochs for name, recipe in passes.items()}
    assert epochs == {"copper": 500, "oxide": 1000}
    updates = single_recipes(run, folders, equal="updates")
    atoms = {"copper": 30 * 3.5, "oxide": 20 * (3 + 5 + 2) / 3}
    drawn = 500 * atoms["copper"] + 1000 * atoms["oxide"]
    for name, recipe in updates.items():
        mean = recipe.trainer.training.epochs * atoms[name] / drawn
        assert mean == pytest.approx(1, rel=0.02), name
        assert recipe.model == run.recipe.model
        assert [branch.name for branch in recipe.branches] == [name]


def test_single_recipes_need_the_data_of_the_run(workplace):
    run = finished_run("run/model.safetensors")
    with pytest.raises(ValueError, match=r"the run has the branches \['oxide'\], too"):
        single_recipes(run, {"copper": workplace / "copper"})
    with pytest.raises(ValueError, match="unknown branch 'oxid'"):
        single_recipes(run, {"oxid": workplace / "oxide"})
    with pytest.raises(ValueError, match="did you mean 'passes'"):
        single_recipes(run, {}, equal="pases")


def test_a_run_is_held_against_single_task_models(workplace, hydracalc):
    """Trained once, found again; one that was trained otherwise is said to be."""
    found = hydracalc("transfer", "run", "copper", "oxide", "-o", "out", "--train", as_json=True)
    names = ["copper", "oxide", "copper alone", "oxide alone"]
    assert [row["name"] for row in found["rows"]] == names
    assert len(found["cells"]) == 8
    verdicts = found["negative_transfer"]
    assert [(v["dataset"], v["quantity"]) for v in verdicts] == [
        (name, quantity) for name in FORMULAS for quantity in ("force", "energy")
    ]
    assert all(v["num_groups"] == COUNTS[v["dataset"]] // 2 for v in verdicts)
    assert all(v["interval"][0] <= v["ratio"] <= v["interval"][1] for v in verdicts)
    assert all(v["trained_otherwise"] == "" for v in verdicts)
    own = {c["row"]: c for c in found["cells"] if c["own"]}
    force = next(v for v in verdicts if v["dataset"] == "copper" and v["quantity"] == "force")
    assert force["multi_task_mae"] == pytest.approx(own["copper"]["force_mae_eV_per_A"])
    assert force["single_task_mae"] == pytest.approx(own["copper alone"]["force_mae_eV_per_A"])
    out = workplace / "out"
    assert json.loads((out / "transfer.json").read_text()) == found
    assert (out / "transfer.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "transfer.html").read_text()
    assert "Did training together help?" in page
    assert "no structure of the dataset" not in page

    hydracalc("pretrain", out / "single" / "copper.toml", "model.num_channels=16", "-o", "wider")
    again = hydracalc(
        "transfer", "run", "copper", "oxide", "-o", "out", "--single", "copper=wider", as_json=True
    )
    notes = {v["dataset"]: v["trained_otherwise"] for v in again["negative_transfer"]}
    assert notes["oxide"] == ""
    assert "model.num_channels was 8, is 16" in notes["copper"]


def test_recipes_alone_are_written_for_a_launcher_of_ones_own(workplace, hydracalc):
    result = hydracalc("transfer", "run", "copper", "oxide", "-o", "out", "--recipes")
    assert "hydracalc pretrain out/single/copper.toml -o out/single/copper" in result.stderr
    recipe = load_recipe(workplace / "out" / "single" / "oxide.toml")
    assert [branch.name for branch in recipe.branches] == ["oxide"]
    assert differences(recipe, "run/model.safetensors") != ""
    assert not (workplace / "out" / "transfer.json").exists()


def test_a_matrix_needs_no_recipe(workplace, hydracalc, small_model):
    """A model that does not tell its run is measured; it cannot be trained against."""
    text = hydracalc("transfer", small_model, "copper", "-o", "out").stdout
    assert "energy MAE after refit" in text
    result = hydracalc("transfer", small_model, "copper", "-o", "out", "--train", code=2)
    assert "its recipe cannot be followed" in result.stderr


@pytest.mark.parametrize(
    ("single", "message"),
    [
        ("run", "expected NAME=MODEL"),
        ("copper=run", "has the branches ('copper', 'oxide')"),
        ("copper=nowhere.safetensors", "there is no such model file"),
    ],
)
def test_wrong_single_task_models_are_refused(workplace, hydracalc, single, message):
    result = hydracalc("transfer", "run", "copper", "-o", "out", "--single", single, code=2)
    assert message in result.stderr

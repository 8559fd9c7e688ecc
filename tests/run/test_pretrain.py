"""From shards to a model file, and on to weights of "auto", as the command line does it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.emt import EMT
from builders import TOY_MODEL, labelled, make_card
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file

from hydracalc.checkpoint import load_checkpoint, read_header
from hydracalc.cli.main import main
from hydracalc.ingest.adapter import Adapter
from hydracalc.ingest.prepare import PrepareConfig, prepare
from hydracalc.ingest.splitting import SplitConfig
from hydracalc.readers.parts import Part
from hydracalc.recipe import load_recipe
from hydracalc.run.pretrain import plan, with_test_metrics
from hydracalc.shards.alignment import align, collect_energies
from hydracalc.shards.reader import open_shards
from hydracalc.store.choice import StoreConfig

RECIPE = (
    """
name = "toy"
threads = 1

[[branches]]
name = "copper"
shards = "copper"

[[branches]]
name = "oxide"
shards = "oxide"

"""
    + TOY_MODEL
    + """
[trainer.training]
epochs = 2

[trainer.sampler]
max_atoms = 64
"""
)


ROOT = Path(__file__).parents[2]
MPIEXEC = Path(sys.prefix) / "bin" / "mpiexec"


class Clusters(Adapter):
    """Clusters labelled by ASE's effective medium theory."""

    def __init__(self, branch, formulas):
        super().__init__(make_card(branch, ("Cu", "O", "H")))
        self.formulas = formulas

    def parts(self, raw):
        return [Part(path=raw)]

    def structures(self, part):
        rng = np.random.default_rng(len(self.card.branch))
        for k in range(60):
            atoms = Atoms(self.formulas[k % len(self.formulas)])
            corners = rng.permutation(np.mgrid[:2, :2, :2].reshape(3, -1).T)[: len(atoms)]
            atoms.positions = corners * 2.2 + rng.normal(0, 0.1, (len(atoms), 3))
            name = {"branch": self.card.branch, "group": str(k), "source": f"cluster-{k}"}
            yield labelled(atoms, EMT(), **name)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with shards of two branches and a recipe."""
    folder = tmp_path_factory.mktemp("pretrain")
    config = PrepareConfig(split=SplitConfig(val=0.2, test=0.2))
    for branch, formulas in (
        ("copper", ("Cu3", "Cu4", "Cu5")),
        ("oxide", ("Cu2O", "Cu3O2", "CuH")),
    ):
        prepare(Clusters(branch, formulas), folder, folder / branch, config=config)
    (folder / "toy.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def model_path(workplace):
    result = run(
        "pretrain", workplace / "toy.toml", f"data_dir={workplace}", "-o", workplace / "run"
    )
    assert result.exit_code == 0, result.output
    return workplace / "run" / "model.safetensors"


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_run_leaves_a_model_its_recipe_its_metrics_and_its_state(model_path):
    model = load_checkpoint(model_path)
    assert model.branch_names == ("copper", "oxide")
    spec = model.branch_specs[0]
    assert spec.references.supported.nonzero()[0].tolist() == [29]
    assert spec.metrics["test_force_mae_eV_per_A"] > 0
    assert spec.metrics["test_structures"] > 0
    header = read_header(model_path)
    assert header["provenance"]["steps"] > 0
    folder = model_path.parent
    assert "epochs = 2" in (folder / "recipe.toml").read_text()
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert "val/oxide/force_mae_eV_per_A" in last
    assert (folder / "state.safetensors").is_file()


def test_the_plan_is_shown_without_training(workplace):
    result = run(
        "pretrain",
        workplace / "toy.toml",
        f"data_dir={workplace}",
        "--dry-run",
        "-o",
        workplace / "no",
    )
    assert result.exit_code == 0, result.output
    assert "oxide" in result.output
    assert "parameters" in result.output
    assert not (workplace / "no").exists()


def test_a_run_goes_on_where_it_ended(workplace, model_path):
    folder = model_path.parent
    result = run(
        "pretrain", workplace / "toy.toml", f"data_dir={workplace}",
        "trainer.training.epochs=3", "--resume", folder,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["epoch"] == 3


def test_a_folder_with_a_run_is_not_overwritten(workplace, model_path):
    before = model_path.read_bytes()
    result = run(
        "pretrain", workplace / "toy.toml", f"data_dir={workplace}", "-o", model_path.parent
    )
    assert result.exit_code == 2
    assert "holds a run already" in result.output
    assert model_path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pretrain", "mtl-al"], "did you mean 'mtl-all'"),
        (["pretrain", "toy.toml", "data_dir=/nowhere", "-o", "x"], "nowhere"),
        (["pretrain", "toy.toml", "data_dir=.", "--resume", "empty"], "no train state"),
        (["weight", "nothing.safetensors", "copper", "-o", "x"], "nothing.safetensors"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(workplace, monkeypatch, words, message):
    monkeypatch.chdir(workplace)
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_branch_must_be_the_one_its_shards_hold(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    text = RECIPE.replace('shards = "copper"', 'shards = "oxide"').replace(
        'name = "oxide"', 'name = "other"', 1
    )
    (workplace / "mixed.toml").write_text(text)
    result = run("pretrain", "mixed.toml", "--dry-run")
    assert result.exit_code == 2
    assert "holds 'oxide'" in result.output


def test_weights_of_auto_are_fitted_and_stored_with_what_they_are_worth(
    workplace, model_path, tmp_path
):
    target = tmp_path / "weighted.safetensors"
    shards = [workplace / "copper", workplace / "oxide"]
    result = run("weight", model_path, *shards, "-o", target, "--split", "val", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert {"auto", "uniform", "own"} <= set(report["force_mae_eV_per_A"])
    assert set(report["described"]) == {"auto", "uniform", "own", "copper", "oxide"}
    model = load_checkpoint(target)
    assert model.weighting is not None
    assert model.weighting.seen[[8, 29]].all()
    assert "weighting" in read_header(target)["provenance"]
    plain = load_checkpoint(model_path)
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name))


def test_shards_of_a_branch_the_model_lacks_are_refused(workplace, model_path, tmp_path):
    config = PrepareConfig(split=SplitConfig(val=0.2, test=0.2))
    prepare(Clusters("third", ("Cu3", "Cu4")), tmp_path, tmp_path / "third", config=config)
    result = run("weight", model_path, tmp_path / "third", "-o", tmp_path / "x")
    assert result.exit_code == 2
    assert "unknown branch 'third'" in result.output


def test_a_run_in_bfloat16_leaves_a_float32_model_and_its_own_errors(workplace):
    """The errors in the card are those of the file as it is read by default."""
    folder = workplace / "bfloat16"
    words = (f"data_dir={workplace}", "trainer.training.precision=bfloat16", "-o", folder)
    result = run("pretrain", workplace / "toy.toml", *words)
    assert result.exit_code == 0, result.output
    header = read_header(folder / "model.safetensors")
    assert header["dtype"] == "float32"
    assert 'precision = "bfloat16"' in header["provenance"]["recipe"]
    model = load_checkpoint(folder / "model.safetensors")
    datasets = [open_shards(workplace / branch) for branch in model.branch_names]
    again = with_test_metrics(model, datasets, StoreConfig())
    for branch, spec in zip(header["branches"], again.branch_specs, strict=True):
        assert branch["metrics"] == pytest.approx(spec.metrics, rel=1e-6)


def test_references_may_be_put_on_one_footing(workplace):
    """Branches that share compositions get references with which these bind equally."""
    recipe = workplace / "toy.toml"
    words = [f"data_dir={workplace}"]
    fitted = plan(load_recipe(recipe, words))
    aligned = plan(load_recipe(recipe, [*words, "references=aligned"]))
    energies = []
    for branch in aligned.recipe.branches:
        with open_shards(aligned.recipe.shards_of(branch)) as shards:
            energies.append(collect_energies(shards))
    expected = align(energies).references
    for before, after in zip(fitted.specs, aligned.specs, strict=True):
        assert after.references.to_json() == expected[after.name].to_json()
        assert before.references.to_json().keys() == after.references.to_json().keys()
    with pytest.raises(ValueError, match=r"references.*'fitted'"):
        load_recipe(recipe, ["references=best"])


def test_a_second_stage_begins_with_the_weights_and_references_of_the_first(workplace, model_path):
    words = [f"data_dir={workplace}", f"start_from={model_path}"]
    planned = plan(load_recipe(workplace / "toy.toml", [*words, "seed=5"]))
    first = load_checkpoint(model_path)
    expected = dict(first.named_parameters())
    assert all(torch.equal(p, expected[name]) for name, p in planned.model.named_parameters())
    for new, old in zip(planned.specs, first.branch_specs, strict=True):
        assert new.references.to_json() == old.references.to_json()
    with pytest.raises(ValueError, match=r"start_from .* is a HydraConfig.*, the recipe's is"):
        plan(load_recipe(workplace / "toy.toml", [*words, "model.num_channels=4"]))
    with pytest.raises(ValueError, match="whose references are kept; give one of them"):
        load_recipe(workplace / "toy.toml", [*words, "references=aligned"])
    with pytest.raises(ValueError, match=r"nowhere.safetensors: there is no such model file"):
        plan(load_recipe(workplace / "toy.toml", [words[0], "start_from=nowhere.safetensors"]))


def test_a_run_does_not_go_on_with_another_recipe(workplace, model_path):
    words = (f"data_dir={workplace}", "trainer.loss.forces_weight=7", "--resume", model_path.parent)
    result = run("pretrain", workplace / "toy.toml", *words)
    assert result.exit_code == 2
    assert "trainer.loss.forces_weight was 1.0, is 7.0" in result.stderr


@pytest.mark.mpi
def test_ranks_train_one_model_and_go_on_after_a_signal_and_a_kill(workplace, tmp_path):
    """Two ranks are asked to end, then killed, then one process ends the run: the same weights."""
    words = [f"data_dir={workplace}", "trainer.sampler.max_atoms=32", "trainer.training.epochs=4"]
    recipe = str(workplace / "toy.toml")

    def command(ranks, *more):
        start = [str(MPIEXEC), "-n", str(ranks)] if ranks > 1 else []
        own = ["mesh.layout=multitask"] if ranks > 1 else ["trainer.sampler.max_atoms=64"]
        return [*start, sys.executable, "-m", "hydracalc", "pretrain", recipe, *words, *own, *more]

    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def go(ranks, *more):
        done = subprocess.run(
            command(ranks, *more), capture_output=True, text=True, env=environment, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        return done

    go(2, "-o", str(tmp_path / "whole"))
    broken = tmp_path / "broken"
    for number in (signal.SIGTERM, signal.SIGKILL):
        more = ["--continue", "-o", str(broken), "trainer.training.save_minutes=0"]
        with subprocess.Popen(
            command(2, *more), env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
        ) as process:
            deadline = time.monotonic() + 60
            before = _steps(broken)
            while _steps(broken) <= before and time.monotonic() < deadline:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.02)
            process.send_signal(number)
            process.wait(timeout=60)
    go(2, "--continue", "-o", str(broken))
    one, other = (
        load_file(folder / "model.safetensors") for folder in (broken, tmp_path / "whole")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def _steps(folder):
    """Steps that the state of a run has seen; -1 where there is none."""
    try:
        with safe_open(folder / "state.safetensors", framework="pt") as file:
            return json.loads(file.metadata()["state"])["position"]["step"]
    except (FileNotFoundError, OSError):
        return -1

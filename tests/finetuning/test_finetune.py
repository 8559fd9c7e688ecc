import json
import re

import ase.io
import pytest
import torch
from builders import make_card
from click.testing import CliRunner

from hydracalc import HydraCalculator
from hydracalc.checkpoint import load_checkpoint
from hydracalc.cli.main import main
from hydracalc.finetuning.config import FinetuneConfig
from hydracalc.finetuning.finetune import Sources, finetune
from hydracalc.finetuning.new_branch import blank
from hydracalc.shards.writer import ShardWriter

METHODS = ("full", "heads", "lora")
QUICK = {"steps": 60, "rank": 2}


@pytest.fixture(scope="session", params=METHODS)
def tuned(request, pretrained, new_file, tmp_path_factory):
    """A method, its report, and the folder it wrote."""
    folder = tmp_path_factory.mktemp(request.param)
    config = FinetuneConfig(method=request.param, new_branch="mine", **QUICK)
    report = finetune(pretrained, Sources(data=new_file), folder, config)
    return request.param, report, folder


def test_it_gets_better_than_what_it_began_as(tuned):
    _, report, _ = tuned
    start, end = report.errors["step 0"]["val"], report.errors["after"]["val"]
    assert end["force_mae_eV_per_A"] < 0.8 * start["force_mae_eV_per_A"]


def test_at_step_0_only_reference_energies_differ(tuned):
    _, report, _ = tuned
    before, start = report.errors["before"]["val"], report.errors["step 0"]["val"]
    key = "force_mae_eV_per_A"
    assert start[key] == pytest.approx(before[key], rel=1e-6)
    assert before["energy_mae_eV_per_atom"] > 30  # the old zero of energy is far off
    assert start["energy_mae_eV_per_atom"] < 0.5


def test_it_begins_as_the_branch_that_knows_the_elements(tuned):
    _, report, _ = tuned
    assert report.from_branch == "alloys"
    missing = {candidate["branch"]: candidate["missing"] for candidate in report.candidates}
    assert missing == {"alloys": (), "light": ("Ni",)}


def test_every_structure_is_accounted_for(tuned):
    _, report, _ = tuned
    assert report.structures["train"] + report.structures["val"] == 30
    assert report.left_out == {"no energy label": 2}


def test_fewer_weights_are_trained_with_heads_and_lora(tuned, pretrained):
    method, report, _ = tuned
    whole = sum(p.numel() for p in load_checkpoint(pretrained).encoder.parameters())
    assert (report.trained > whole) == (method == "full")


def test_old_branches_keep_their_heads(tuned, pretrained):
    _, _, folder = tuned
    old, new = load_checkpoint(pretrained), load_checkpoint(folder / "model.safetensors")
    assert new.branch_names == ("alloys", "light", "mine")
    for name, parameter in old.branches.named_parameters():
        assert (new.branches.get_parameter(name)[:2] == parameter).all()


def test_heads_alone_leave_old_branches_as_they_were(tuned):
    method, report, _ = tuned
    moved = report.drift["alloys"]
    assert moved == 0 if method == "heads" else moved > 1e-3


def test_the_file_answers_with_the_new_branch(tuned, new_file):
    _, report, folder = tuned
    atoms = ase.io.read(new_file, 0)
    label = atoms.get_potential_energy() / len(atoms)
    atoms.calc = HydraCalculator(folder / "model.safetensors")
    assert atoms.get_potential_energy() / len(atoms) == pytest.approx(label, abs=0.5)
    written = json.loads((folder / "report.json").read_text())
    assert written["from_branch"] == report.from_branch


def test_weights_are_those_of_the_best_validation(tuned):
    _, report, _ = tuned
    number, count = report.best
    assert len(report.history) == count
    best = report.history[number - 1]
    after = report.errors["after"]["val"]
    assert after["force_mae_eV_per_A"] == pytest.approx(best["force_mae_eV_per_A"], rel=1e-3)


def test_the_same_seed_gives_the_same_weights(pretrained, new_file, tmp_path):
    config = FinetuneConfig(method="lora", **QUICK | {"steps": 10})
    both = []
    for name in "ab":
        finetune(pretrained, Sources(data=new_file), tmp_path / name, config)
        both.append(dict(load_checkpoint(tmp_path / name / "model.safetensors").named_parameters()))
    assert all((both[0][key] == both[1][key]).all() for key in both[0])


def test_the_new_branch_knows_the_charges_of_its_data(pretrained, new_file, tmp_path):
    frames = ase.io.read(new_file, ":12")
    for number, atoms in enumerate(frames):
        atoms.info |= {"charge": -(number % 2), "spin": 1 + number % 2}
    ase.io.write(tmp_path / "charged.extxyz", frames)
    config = FinetuneConfig(method="heads", steps=2, val_fraction=0.2)
    finetune(pretrained, Sources(data=tmp_path / "charged.extxyz"), tmp_path / "out", config)
    spec = load_checkpoint(tmp_path / "out" / "model.safetensors").branch_specs[-1]
    assert (spec.charges, spec.spin_multiplicities) == ((-1, 0), (1, 2))


@pytest.fixture(scope="session")
def scratch(pretrained, new_file, tmp_path_factory):
    """The report of a training from scratch, and the model it wrote."""
    folder = tmp_path_factory.mktemp("scratch")
    config = FinetuneConfig(method="scratch", new_branch="mine", **QUICK)
    report = finetune(pretrained, Sources(data=new_file), folder, config)
    return report, load_checkpoint(folder / "model.safetensors")


def test_scratch_has_the_shape_of_the_model_and_one_branch(scratch, pretrained):
    report, model = scratch
    old = load_checkpoint(pretrained)
    assert model.config == old.config
    assert model.branch_names == ("mine",)
    shapes = {name: p.shape for name, p in old.encoder.named_parameters()}
    assert {name: p.shape for name, p in model.encoder.named_parameters()} == shapes
    assert report.trained == sum(p.numel() for p in model.parameters())


def test_scratch_begins_with_random_weights_that_the_seed_decides(pretrained):
    old = load_checkpoint(pretrained)
    one, same, other = (blank(old, "alloys", seed=seed) for seed in (0, 0, 1))
    for name, parameter in old.encoder.named_parameters():
        fresh = one.encoder.get_parameter(name)
        assert torch.equal(fresh, same.encoder.get_parameter(name))
        if fresh.any() and parameter.ndim > 1:  # some begin as zeros
            assert not torch.equal(fresh, other.encoder.get_parameter(name))
            # nothing of the old weights is left in them
            both = torch.stack([fresh.flatten(), parameter.flatten()])
            assert abs(torch.corrcoef(both)[0, 1]) < 0.5
    for name, parameter in one.branches.named_parameters():
        if parameter.ndim > 2 and "bias" not in name:
            assert not torch.equal(parameter[0], old.branches.get_parameter(name)[0])


def test_scratch_learns_from_references_that_fit(scratch):
    report, _ = scratch
    start, end = report.errors["step 0"]["val"], report.errors["after"]["val"]
    assert start["energy_mae_eV_per_atom"] < 1.0
    assert end["force_mae_eV_per_A"] < 0.8 * start["force_mae_eV_per_A"]
    assert report.errors["before"]["val"]["energy_mae_eV_per_atom"] > 30
    assert report.drift == {}


def test_scratch_is_given_the_steps_of_fine_tuning(scratch, tuned):
    _, report, _ = tuned
    assert scratch[0].steps == report.steps


def test_scratch_has_no_old_branches_to_keep(pretrained, new_file, tmp_path):
    sources = Sources(data=new_file, watch=(tmp_path,))
    with pytest.raises(ValueError, match="none to replay or watch"):
        finetune(pretrained, sources, tmp_path / "out", FinetuneConfig(method="scratch"))


def test_replay_trains_old_branches_along(pretrained, new_file, old_structures, tmp_path):
    shards = tmp_path / "alloys"
    card = make_card("alloys", ("Al", "Ni", "Cu"))
    with ShardWriter(shards, card=card) as writer:
        for number, structure in enumerate(old_structures["alloys"]):
            writer.add(structure, split="val" if number % 4 == 0 else "train")
    config = FinetuneConfig(new_branch="mine", **QUICK)
    report = finetune(
        pretrained, Sources(data=new_file, replay=(shards,)), tmp_path / "out", config
    )
    assert report.structures["replayed"] > 0
    assert set(report.forgotten) == {"alloys"}
    old = load_checkpoint(pretrained)
    new = load_checkpoint(tmp_path / "out" / "model.safetensors")
    name, parameter = next(iter(old.branches.named_parameters()))
    changed = (new.branches.get_parameter(name)[:2] != parameter).flatten(1).any(dim=1)
    assert changed.tolist() == [True, False]


def test_the_command_prints_what_was_chosen(pretrained, new_file, tmp_path):
    out = tmp_path / "out"
    given = [str(pretrained), str(new_file), "-o", str(out), "--method", "heads", "steps=5"]
    result = CliRunner().invoke(main, ["finetune", *given])
    assert result.exit_code == 0, result.output
    for line in ("begins as branch alloys", "left out 2: no energy label", "step 0", "after"):
        assert line in result.output
    assert (out / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--from-branch", "alloyz"], "alloys"),
        (["--from-branch", "light"], "does not know \\['Ni'\\]"),
        (["--new-branch", "light"], "has a branch 'light' already"),
        (["--references", "guessed"], "expected refit, kept, isolated"),
        (["--references", "isolated"], "no energy for \\['Ni', 'Cu'\\]"),
        (["--method", "lora", "targets=['x']"], "match no linear map"),
        (["stepz=3"], "stepz"),
        (["steps=-3"], "steps is -3"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(pretrained, new_file, tmp_path, given, message):
    arguments = ["finetune", str(pretrained), str(new_file), "-o", str(tmp_path / "out"), *given]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert re.search(message, result.output)

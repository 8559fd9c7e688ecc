"""Whatever is wrong with the input: one clear message, exit code 2, or 1 where data failed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from builders import make_model
from click.testing import CliRunner

from hydracalc.checkpoint import save_checkpoint
from hydracalc.cli.main import main

DATASETS = Path(__file__).parents[2] / "datasets"


def run(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, structures of every wrong kind, and shards."""
    folder = tmp_path_factory.mktemp("bad")
    save_checkpoint(folder / "model.safetensors", make_model(), provenance={})
    content = (folder / "model.safetensors").read_bytes()
    middle = len(content) // 2
    damaged = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    (folder / "damaged.safetensors").write_bytes(damaged)
    lost = molecule("H2O")
    lost.positions[0] = np.nan
    flat = bulk("Si")
    flat.set_cell(np.zeros((3, 3)))
    structures = {
        "water": molecule("H2O"),
        "uranium": bulk("U", "fcc", a=4.0),
        "silicon": bulk("Si"),
        "empty": Atoms(),
        "nan": lost,
        "flat": flat,
        "near": Atoms("H2", [[0, 0, 0], [0, 0, 0.05]]),
    }
    for name, atoms in structures.items():
        write(folder / f"{name}.traj", atoms)
    result = run("data", "prepare", "rmd17", DATASETS / "rmd17" / "sample", "-o", folder / "shards")
    assert result.exit_code == 0, result.output
    shutil.copytree(folder / "shards", folder / "broken")
    victim = max((p for p in (folder / "broken").rglob("data.0")), key=lambda p: p.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-7])
    cut(DATASETS / "ani1x" / "sample", "*.h5", folder / "cut-hdf5")
    cut(DATASETS / "mptrj" / "sample", "*.json", folder / "cut-json")
    (folder / "toy.toml").write_text(
        'name = "toy"\n[[branches]]\nname = "rmd17"\nshards = "broken"\n'
    )
    return folder


def cut(source, pattern, target):
    """The files of a sample, each but half of it."""
    target.mkdir()
    for path in source.glob(pattern):
        content = path.read_bytes()
        (target / path.name).write_bytes(content[: len(content) // 2])
    assert list(target.iterdir())


PREDICT = ("predict", "-m", "model.safetensors")


@pytest.mark.filterwarnings("default:atoms H0 and H1")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((*PREDICT, "uranium.traj"), 2, "U"),
        ((*PREDICT, "silicon.traj", "-b", "organic"), 2, "does not know Si"),
        ((*PREDICT, "empty.traj"), 2, "no atoms"),
        ((*PREDICT, "nan.traj"), 2, "not finite"),
        ((*PREDICT, "flat.traj"), 2, "zero"),
        ((*PREDICT, "near.traj"), 0, "0.05 Angstrom apart"),
        ((*PREDICT, "missing.traj"), 2, "missing.traj"),
        ((*PREDICT, "water.traj", "-b", "organc"), 2, "did you mean 'organic'"),
        ((*PREDICT, "water.traj", "-o", "/proc/no/out.extxyz"), 2, "/proc/no"),
        (("predict", "-m", "mtl-al", "water.traj"), 2, "unknown model 'mtl-al'"),
        (("predict", "-m", "damaged.safetensors", "water.traj"), 1, "damaged.safetensors"),
        (("eval", "water.traj", "-m", "model.safetensors"), 1, "no energy label"),
        (("data", "prepare", "ani1", "cut-hdf5", "-o", "x"), 2, "did you mean 'ani1x'"),
        (("data", "prepare", "ani1x", "cut-hdf5", "-o", "x"), 1, "cut-hdf5"),
        (("data", "prepare", "mptrj", "cut-json", "-o", "x"), 1, "cut-json"),
        (("data", "prepare", "rmd17", "nowhere", "-o", "x"), 2, "nowhere"),
        (("data", "prepare", "rmd17", "shards", "-o", "shards"), 2, "shards"),
        (("data", "validate", "broken"), 1, "broken"),
        (("data", "stats", "broken"), 1, "broken"),
        (("eval", "broken", "-m", "model.safetensors"), 1, "broken"),
        (("pretrain", "toy.toml", "-o", "run"), 1, "broken"),
        (("pretrain", "toy.toml", "modle.encoder=egnn"), 2, "did you mean 'model'"),
        (("md", "water.traj", "-m", "model.safetensors", "--ensemble", "npt"), 2, "npt"),
        (("predikt", "water.traj"), 2, "predikt"),
    ],
)
def test_bad_input_is_answered_with_one_message(place, monkeypatch, words, code, message):
    monkeypatch.chdir(place)
    result = run(*words)
    assert result.exit_code == code, result.output
    assert message in result.output
    assert not (place / "x").exists()

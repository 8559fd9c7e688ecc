"""Five datasets on four ranks, as in arXiv:2506.21788, started by mpiexec and by torchrun."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hydracalc.checkpoint import read_header
from hydracalc.ingest.catalog import load_adapter
from hydracalc.ingest.prepare import PrepareConfig, prepare
from hydracalc.ingest.splitting import SplitConfig

ROOT = Path(__file__).parents[2]
BIN = Path(sys.prefix) / "bin"
DATASETS = ("ani1x", "qm7x", "transition1x", "mptrj", "alexandria")
RECIPE = """
name = "five"

[model]
encoder = "egnn"
num_channels = 16
num_layers = 2
num_radial = 8
head_widths = [16, 16]

[trainer.training]
epochs = 1

[trainer.sampler]
max_atoms = 128

[mesh]
layout = "hybrid"
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe and the shards of real slices, or of samples where there is no slice."""
    folder = tmp_path_factory.mktemp("five")
    lines = []
    for name in DATASETS:
        source = ROOT / "datasets" / name
        raw = source / ("sample" if name in {"qm7x", "ani1x", "mptrj"} else "slice")
        config = PrepareConfig(split=SplitConfig(val=0.2, test=0.3))
        prepare(load_adapter(name), raw, folder / name, config=config)
        lines.append(f'[[branches]]\nname = "{name}"\nshards = "{folder / name}"\n')
    path = folder / "five.toml"
    path.write_text(RECIPE + "\n".join(lines))
    return path


def train(recipe, out, *start):
    command = [*map(str, start), "-m", "hydracalc", "pretrain", str(recipe), "-o", str(out)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.mpi
def test_four_ranks_train_five_branches_under_both_launchers(recipe, tmp_path):
    torchrun = (BIN / "torchrun", "--standalone", "--nproc-per-node", 4)
    mpiexec = (BIN / "mpiexec", "-n", 4, sys.executable)
    for name, start in (("mpiexec", mpiexec), ("torchrun", torchrun)):
        assert "model:" in train(recipe, tmp_path / name, *start)
    paths = [tmp_path / name / "model.safetensors" for name in ("mpiexec", "torchrun")]
    header = read_header(paths[0])
    assert [branch["name"] for branch in header["branches"]] == list(DATASETS)
    metrics = [branch["metrics"] for branch in header["branches"]]
    tested = [found for found in metrics if found["test_structures"]]
    assert len(tested) >= 3  # not every sample has a group for testing
    assert all("test_energy_mae_eV_per_atom" in metrics for metrics in tested)
    one, other = map(load_file, paths)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_more_groups_than_ranks_are_refused_with_the_way_out(recipe, tmp_path):
    words = [sys.executable, "-m", "hydracalc", "pretrain", str(recipe), "mesh.layout=multitask"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "5 groups of 5 branches, but there are 1 ranks; use 'hybrid'" in done.stderr

"""Wherever structures are kept while a run trains, its weights are the same to the last bit."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import TOY_MODEL, make_card
from training.conftest import clusters, metals

from hydracalc.recipe import load_recipe
from hydracalc.run.branch_shards import BranchShards, own_rows, stores_of
from hydracalc.run.pretrain import pretrain
from hydracalc.shards.union import unite
from hydracalc.shards.writer import ShardWriter
from hydracalc.store.choice import StoreConfig
from hydracalc.store.places import Place
from hydracalc.training.loop import Trainer

ROOT = Path(__file__).parents[2]
BIN = Path(sys.prefix) / "bin"
SCRIPT = Path(__file__).with_name("stores_run.py")
RECIPE = (
    """
name = "small"
threads = 1

"""
    + TOY_MODEL
    + """
[trainer.training]
epochs = 1

[trainer.sampler]
max_atoms = 24
max_edges = 2000
"""
)
SETS = {
    "metals": lambda: metals(20),
    "clusters": lambda: clusters(20),
    "others": lambda: clusters(10, seed=5),
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Three branches, one with stress; two shards or more each."""
    folder = tmp_path_factory.mktemp("branches")
    text = RECIPE
    for name, make in SETS.items():
        card = make_card(name, ("Cu", "Al", "Ni", "O"))
        with ShardWriter(folder / name, card=card, max_shard_bytes=8000) as writer:
            for number, structure in enumerate(make()):
                object.__setattr__(structure, "branch", name)
                writer.add(structure, split=("train", "train", "train", "val", "test")[number % 5])
        text += f'\n[[branches]]\nname = "{name}"\nshards = "{folder / name}"\n'
    path = folder / "small.toml"
    path.write_text(text)
    return path


def run(start, recipe, out, layouts, kinds):
    command = [*map(str, start), str(SCRIPT), str(recipe), str(out), layouts, kinds]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=100,  # less than the time limits in the job
        check=False,
    )


def lines(result):
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout.splitlines()


@pytest.mark.mpi
def test_every_kind_trains_the_same_weights_in_every_layout(recipe, tmp_path):
    """Three ranks: with 'hybrid' a group of two and one of one."""
    kinds = ("local", "shared", "rma", "mapped", "shards")
    start = (BIN / "mpiexec", "-n", 3, sys.executable)
    found = lines(run(start, recipe, tmp_path, "base", ",".join(kinds)))
    assert found == [f"base {kind} equal" for kind in kinds]
    found = lines(run(start, recipe, tmp_path, "hybrid", "local,rma,shared"))
    assert found == [f"hybrid {kind} equal" for kind in ("local", "rma", "shared")]
    told = (tmp_path / "base-rma" / "metrics.jsonl").read_text().splitlines()
    epochs = [record for record in map(json.loads, told) if "loss" in record]
    assert len(epochs) == 1
    assert all(0 < record["data"] < 1 for record in epochs)
    assert not list(tmp_path.glob("hydracalc-*"))  # files of stores


@pytest.mark.mpi
def test_torchrun_has_every_kind_but_rma_and_says_why(recipe, tmp_path):
    start = (BIN / "torchrun", "--standalone", "--nproc-per-node", 2)
    result = run(start, recipe, tmp_path, "base,hybrid", "local,shared,mapped,rma,auto")
    for layout in ("base", "hybrid"):
        own = [line for line in lines(result) if line.startswith(layout)]
        assert own[:3] == [f"{layout} {kind} equal" for kind in ("local", "shared", "mapped")]
        assert own[3].startswith(f"{layout} rma store kind 'rma' reads memory of other ranks")
        assert "through MPI, which did not start this process" in own[3]
        assert own[4] == f"{layout} auto {'shared' if layout == 'base' else 'local'}"


@pytest.mark.mpi
def test_a_rank_that_fails_does_not_wait_for_the_others_to_close_the_store(recipe, tmp_path):
    result = run((BIN / "mpiexec", "-n", 2, sys.executable), recipe, tmp_path, "base", "fails")
    assert result.returncode != 0
    assert "rank 1: the third step is too much" in result.stderr


def test_shards_are_opened_when_needed_and_closed(recipe):
    loaded = load_recipe(recipe)
    shards = BranchShards(loaded, Place())
    assert [m.card.branch for m in shards.manifests] == list(SETS)
    work = shards.work()
    atoms = shards[0].num_atoms[shards[0].splits == 0]
    assert work[0] == pytest.approx(len(atoms) ** 0.75 * atoms.mean())
    first = shards[0]
    assert shards.each([0, 1]) == [first, shards[1]]
    shards.close()
    assert shards[0] is not first


@pytest.fixture
def united(recipe, tmp_path):
    """The recipe with one branch alone, twelve of its structures and six of other sizes."""
    with ShardWriter(tmp_path / "more", card=make_card("metals", ("Cu", "O"))) as writer:
        for structure in clusters(6):
            object.__setattr__(structure, "branch", "metals")
            writer.add(structure, split="train")
    unite([recipe.parent / "metals", tmp_path / "more"], tmp_path / "both")
    loaded = load_recipe(recipe)
    branch = replace(loaded.branches[0], shards=str(tmp_path / "both"), part_shares=(1.0, 4.0))
    return replace(loaded, branches=(branch,))


def test_parts_of_united_shards_are_drawn_by_their_shares(united, tmp_path, monkeypatch):
    shards = BranchShards(united, Place())
    sizes = shards[0].num_atoms[shards[0].splits == 0]
    mean = np.average(sizes, weights=[1.0] * 12 + [4.0] * 6)
    assert shards.work() == [pytest.approx(18**0.75 * mean)]
    made = []

    class Kept(Trainer):
        def __init__(self, *given, **settings):
            super().__init__(*given, **settings)
            made.append(self)

    monkeypatch.setattr("hydracalc.run.pretrain.Trainer", Kept)
    pretrain(united, tmp_path / "run")
    drawn = made[0].sampler.draws(0)
    assert len(drawn) == 18
    assert (drawn >= 12).sum() == 12  # 24 of 12 + 24, of 18


def test_shards_of_one_folder_have_the_whole_share(recipe):
    loaded = load_recipe(recipe)
    branches = tuple(replace(branch, part_shares=(3.0, 1.0)) for branch in loaded.branches)
    parted = BranchShards(replace(loaded, branches=branches), Place())
    assert parted.work() == BranchShards(loaded, Place()).work()


def test_parts_that_shards_do_not_have_are_refused(united):
    branch = replace(united.branches[0], part_shares=(1.0, 1.0, 2.0))
    shards = BranchShards(replace(united, branches=(branch,)), Place())
    with pytest.raises(ValueError, match="part_shares has 3 numbers, .* united from 2 folders"):
        shards.work()
    with pytest.raises(ValueError, match=r"part_shares are \[0.0, 1.0\], all must be above 0"):
        replace(branch, part_shares=(0.0, 1.0))


def test_stores_are_closed_after_an_error(recipe):
    shards = BranchShards(load_recipe(recipe), Place())
    config = StoreConfig(kind="shared", folder=str(recipe.parent))
    given = {}

    def use():
        with stores_of(shards.each([0, 2]), ("train", "val"), config, Place()) as stores:
            given.update(stores)
            assert [store.branch for store in stores["val"]] == ["metals", "others"]
            rows = own_rows(stores["val"], Place(rank=1, size=3))
            assert rows.tolist() == list(range(sum(map(len, stores["val"]))))[1::3]
            stores["train"][0].fetch([99])

    with pytest.raises(IndexError, match="no structure 99"):
        use()
    with pytest.raises(IndexError, match="out of bounds"):
        given["train"][0].fetch([0])  # its memory has been given back

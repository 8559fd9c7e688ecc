"""`make model` prepares what the recipe of the shipped model is trained on."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hydracalc.recipe import load_recipe

ROOT = Path(__file__).parents[1]
MAKE = shutil.which("make")


@pytest.fixture(scope="module")
def commands():
    """Words of every command that `make model` would run in a folder without results."""
    assert MAKE is not None
    told = subprocess.run(
        [MAKE, "--dry-run", "--always-make", "model"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split() for line in told.stdout.replace("\\\n", " ").splitlines()]


def outputs(commands, verb):
    """Folder that each `hydracalc data` command makes, and the folders it makes it of."""
    found = {}
    for words in commands:
        if words[1:3] == ["data", verb]:
            place = words.index("-o")
            found[words[place + 1]] = words[3:place]
    return found


def test_every_branch_has_shards_of_its_own_data(commands):
    prepared, united = outputs(commands, "prepare"), outputs(commands, "unite")
    for branch in load_recipe("mtl-all").branches:
        folder = f"runs/shards/{branch.shards}"
        sources = united.get(folder, [folder])
        assert {prepared[source][0] for source in sources} == {branch.name}
        assert all((ROOT / prepared[source][1]).is_dir() for source in sources)
        computed = sorted((ROOT / "datasets" / branch.name).glob("computed*"))
        assert [ROOT / prepared[source][1] for source in sources[1:]] == computed
        assert len(branch.part_shares) in (0, len(sources))


def test_all_branches_are_trained_weighted_and_measured(commands):
    names = [branch.name for branch in load_recipe("mtl-all").branches]
    shards = [f"runs/shards/{name}" for name in names]
    first, second = (words for words in commands if "pretrain" in words)
    for stage in (first, second):
        assert {"mtl-all", "data_dir=runs/shards"} <= set(stage)
    assert f"start_from={first[first.index('-o') + 1]}/model.safetensors" in second
    for verb in ("weight", "measure"):
        (words,) = (words for words in commands if verb in words)
        assert [word for word in words if word.startswith("runs/shards/")] == shards

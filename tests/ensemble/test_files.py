"""An ensemble's folder stands for itself, and says when it is not what it was."""

import json
import shutil

import pytest
from builders import make_model

from hydracalc.checkpoint import save_checkpoint
from hydracalc.ensemble.files import (
    beside,
    find_ensemble,
    read_beside,
    read_ensemble,
    store_calibration,
    write_ensemble,
)
from hydracalc.errors import DataError


@pytest.fixture
def models(tmp_path):
    found = []
    for seed in range(2):
        path = tmp_path / f"run-{seed}.safetensors"
        sha256 = save_checkpoint(path, make_model(seed=seed, num_channels=4), provenance={})
        found.append((path, sha256))
    return found


@pytest.fixture
def listed(tmp_path, models):
    given = [(path.stem, path) for path, _ in models]
    return write_ensemble(tmp_path / "best", given, selection={"by": ["val_force_mae"]})


def test_members_travel_with_the_folder(listed, models, tmp_path):
    for path, _ in models:
        path.unlink()
    moved = shutil.move(listed.parent, tmp_path / "elsewhere")
    found = read_ensemble(find_ensemble(moved))
    assert found.sha256 == tuple(sha256 for _, sha256 in models)
    assert all(path.is_file() for path in found.members)
    assert found.calibration is None
    assert found.content["members"][1]["from"] == "run-1"


def test_a_member_that_was_exchanged_is_noticed(listed, models):
    shutil.copyfile(models[0][0], listed.parent / "member-1.safetensors")
    with pytest.raises(DataError, match=r"member member-1.safetensors has SHA-256 .* stated is"):
        read_ensemble(listed)
    (listed.parent / "member-1.safetensors").unlink()
    with pytest.raises(DataError, match="member-1.safetensors is missing"):
        read_ensemble(listed)


@pytest.mark.parametrize(
    ("content", "error", "match"),
    [
        ("{", DataError, "damaged"),
        ("[]", DataError, "damaged"),
        ('{"format_version": 7}', ValueError, "format version 7 is unknown"),
        ('{"format_version": 1, "members": [{"file": "a"}]}', DataError, "damaged"),
    ],
)
def test_damage_is_one_message(tmp_path, content, error, match):
    path = tmp_path / "ensemble.json"
    path.write_text(content)
    with pytest.raises(error, match=match):
        read_ensemble(path)


def test_nothing_is_written_over(listed, models):
    with pytest.raises(ValueError, match="holds an ensemble already"):
        write_ensemble(listed.parent, [("a", models[0][0])] * 2, selection={})
    with pytest.raises(ValueError, match="at least 2 members, got 1"):
        write_ensemble(listed.parent / "x", [("a", models[0][0])], selection={})


def test_a_calibration_is_kept_with_what_it_is_of(listed, models):
    assert store_calibration(listed, {"general": {"a": 1}}) == listed
    assert read_ensemble(listed).calibration == {"general": {"a": 1}}
    assert read_ensemble(listed).content["selection"] == {"by": ["val_force_mae"]}
    (path, sha256), (other, _) = models
    assert read_beside(path, sha256) is None
    assert store_calibration(path, {"organic": {}}) == beside(path)
    assert read_beside(path, sha256) == {"organic": {}}
    shutil.copyfile(beside(path), beside(other))
    with pytest.raises(DataError, match="calibrate it anew"):
        read_beside(other, models[1][1])


def test_what_is_no_ensemble_is_left_to_the_registry(tmp_path):
    assert find_ensemble("mtl-all") is None
    assert find_ensemble(tmp_path) is None
    assert find_ensemble("a/b.json") is not None
    assert json.dumps(str(find_ensemble("a/b.json"))) == '"a/b.json"'

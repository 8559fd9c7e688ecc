"""A name stands for one file for ever, and a wrong name is answered with the nearest right one."""

import json

import pytest
from builders import make_model

from hydracalc import registry
from hydracalc.checkpoint import save_checkpoint
from hydracalc.errors import DataError


@pytest.fixture
def models(tmp_path):
    """A registry with two revisions of one model, the later one being the alias."""
    path = tmp_path / "registry.json"
    for seed, revision in enumerate(("2026-01-01", "2026-02-01")):
        file = tmp_path / f"tiny-{revision}.safetensors"
        save_checkpoint(file, make_model(seed=seed), provenance={})
        registry.register(file, f"tiny@{revision}", aliases=("tiny",), registry=path)
    return path


def test_an_alias_is_the_latest_revision(models):
    assert registry.resolve("tiny", registry=models).name == "tiny-2026-02-01.safetensors"
    assert registry.full_name("tiny", registry=models) == "tiny@2026-02-01"


def test_an_old_revision_stays(models):
    assert registry.resolve("tiny@2026-01-01", registry=models).name.startswith("tiny-2026-01")


def test_models_are_listed_with_their_aliases(models):
    found = registry.list_models(registry=models)
    assert [(m.name, m.aliases) for m in found] == [
        ("tiny@2026-01-01", ()),
        ("tiny@2026-02-01", ("tiny",)),
    ]


def test_a_model_is_loaded_by_name_and_by_path(models, tmp_path):
    by_name = registry.load_model("tiny", registry=models, dtype="float32")
    by_path = registry.load_model(tmp_path / "tiny-2026-02-01.safetensors")
    assert by_name.branch_names == by_path.branch_names == ("organic", "general")
    assert str(by_name.dtype) == "torch.float32"


def test_an_unknown_name_offers_the_nearest(models):
    with pytest.raises(ValueError, match="unknown model 'tinny'; did you mean 'tiny'"):
        registry.resolve("tinny", registry=models)
    with pytest.raises(ValueError, match="did you mean 'tiny@2026-0"):
        registry.resolve("tiny@2026-03-01", registry=models)


@pytest.mark.parametrize("path", ["folder/none", "none.safetensors"])
def test_a_missing_path_is_called_a_path(models, path):
    with pytest.raises(ValueError, match="no such model file"):
        registry.resolve(path, registry=models)


def test_a_changed_file_is_refused(models, tmp_path):
    save_checkpoint(tmp_path / "tiny-2026-02-01.safetensors", make_model(seed=5), provenance={})
    with pytest.raises(DataError, match="registered is"):
        registry.load_model("tiny", registry=models)


def test_a_missing_file_is_damage(models, tmp_path):
    (tmp_path / "tiny-2026-02-01.safetensors").unlink()
    with pytest.raises(DataError, match="is missing"):
        registry.resolve("tiny", registry=models)


def test_a_name_never_changes_its_file(models, tmp_path):
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, make_model(seed=9), provenance={})
    with pytest.raises(ValueError, match="take a new revision"):
        registry.register(other, "tiny@2026-01-01", registry=models)


def test_a_name_needs_a_revision_and_the_file_its_place(models, tmp_path):
    file = tmp_path / "tiny-2026-01-01.safetensors"
    with pytest.raises(ValueError, match="needs a revision"):
        registry.register(file, "other", registry=models)
    elsewhere = tmp_path / "sub"
    elsewhere.mkdir()
    with pytest.raises(ValueError, match="a registered file lies in"):
        registry.register(file, "other@1", registry=elsewhere / "registry.json")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"models": {}}', '{"aliases": {"a": "b@1"}, "models": {}}']
)
def test_a_damaged_registry_is_named(models, text):
    models.write_text(text)
    with pytest.raises(DataError, match=r"registry\.json"):
        registry.list_models(registry=models)


def test_no_registry_is_no_models(tmp_path):
    assert registry.list_models(registry=tmp_path / "none.json") == []


def test_the_registry_is_text_to_read(models):
    content = json.loads(models.read_text())
    assert content["aliases"] == {"tiny": "tiny@2026-02-01"}
    assert set(content["models"]["tiny@2026-01-01"]) == {"file", "sha256"}


@pytest.mark.parametrize("model", registry.list_models(), ids=lambda model: model.name)
def test_the_models_of_the_package_load(model):
    assert registry.load_model(model.name).branch_names

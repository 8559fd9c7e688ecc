"""`hydracalc models` says what there is and what a model says of itself."""

import json

import pytest

from hydracalc import registry
from hydracalc.checkpoint import read_header


@pytest.fixture
def installed(small_model, tmp_path, monkeypatch):
    """The small model under the name tiny@1, alias tiny."""
    file = tmp_path / "tiny.safetensors"
    with open(small_model, "rb") as source:
        file.write_bytes(source.read())
    path = tmp_path / "registry.json"
    registry.register(file, "tiny@1", aliases=("tiny",), registry=path)
    for function in ("list_models", "resolve", "full_name"):
        original = getattr(registry, function)
        monkeypatch.setattr(
            registry, function, lambda *a, _f=original, **k: _f(*a, **({"registry": path} | k))
        )
    return file


def test_list(hydracalc, installed):
    assert hydracalc("models", "list").stdout.startswith("tiny@1 (tiny)  ")
    (model,) = hydracalc("models", "list", as_json=True)
    assert (model["name"], model["aliases"]) == ("tiny@1", ["tiny"])


def test_path(hydracalc, installed):
    assert hydracalc("models", "path", "tiny").stdout == f"{installed}\n"
    assert hydracalc("models", "path", "tiny", as_json=True) == {"path": str(installed)}


def test_info_by_name_and_by_path(hydracalc, installed, small_model):
    text = hydracalc("models", "info", "tiny").stdout
    for part in ("tiny@1", "painn", "branch organic", "H C N O", "CC0-1.0", "random weights"):
        assert part in text
    found = hydracalc("models", "info", small_model, as_json=True)
    assert found["sha256"] == read_header(small_model)["sha256"]
    assert found["provenance"] == {"recipe": "test"}


def test_an_unknown_name_is_bad_input(hydracalc, installed):
    result = hydracalc("models", "path", "tinny", code=2)
    assert "unknown model 'tinny'; did you mean 'tiny'" in result.stderr


def test_a_damaged_file_is_a_failed_check(hydracalc, installed):
    installed.write_bytes(installed.read_bytes()[:-1])
    assert "registered is" in hydracalc("models", "info", "tiny", code=1).stderr


def test_an_empty_installation_says_so(hydracalc, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "list_models", list)
    assert "no models are installed" in hydracalc("models", "list").stdout
    assert json.loads(hydracalc("models", "list", "--json").stdout) == []

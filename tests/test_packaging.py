"""An installed wheel has everything that a checkout has to work with, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("hydracalc", "datasets", "recipes", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names in the wheel, built from a copy so that the checkout stays clean."""
    source = tmp_path_factory.mktemp("source")
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=skip)
        else:
            shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation"]
    quiet = ["--quiet", "--no-index", "--wheel-dir", "wheels"]
    built = subprocess.run([*command, *quiet], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (path,) = (source / "wheels").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {entry.filename: entry.file_size for entry in archive.infolist()}


def expected(folder, pattern, packaged_as):
    found = (path.relative_to(ROOT / folder) for path in (ROOT / folder).glob(pattern))
    return {f"{packaged_as}/{path.as_posix()}" for path in found}


def test_every_module_is_in_the_wheel(wheel):
    modules = expected("hydracalc", "**/*.py", "hydracalc") | {"hydracalc/py.typed"}
    assert modules <= set(wheel)


def test_datasets_and_recipes_travel_without_samples(wheel):
    travelling = (
        expected("datasets", "*/card.toml", "hydracalc/_datasets")
        | expected("datasets", "*/adapter.py", "hydracalc/_datasets")
        | expected("recipes", "*.toml", "hydracalc/_recipes")
        | expected("recipes", "downstream/*.toml", "hydracalc/_recipes")
        | expected("recipes", "hpo/*.toml", "hydracalc/_recipes")
        | expected("recipes", "launch/*.sh", "hydracalc/_recipes")
    )
    packed = {name for name in wheel if name.startswith(("hydracalc/_datasets", "hydracalc/_rec"))}
    assert travelling == packed
    assert travelling


def test_pretrained_models_travel_and_are_small(wheel):
    models = expected("hydracalc/pretrained", "*", "hydracalc/pretrained")
    assert models <= set(wheel)
    assert sum(wheel[name] for name in models) <= 10e6


def test_nothing_but_the_package_is_in_the_wheel(wheel):
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"hydracalc"}
    assert not [name for name in wheel if {"sample", "tests"} & set(name.split("/"))]

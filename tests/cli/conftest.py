"""Running commands on a small model and a few structure files."""

import json

import numpy as np
import pytest
from ase.build import bulk, molecule
from builders import make_model
from click.testing import CliRunner

from hydracalc.checkpoint import save_checkpoint
from hydracalc.cli.main import main


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """File of a model whose branches are "organic" and "general"."""
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_checkpoint(path, make_model(), provenance={"recipe": "test"})
    return str(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with a molecule, a crystal and a file of two."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    methanol, silicon = molecule("CH3OH"), bulk("Si", cubic=True)
    methanol.rattle(0.02, rng=rng)
    silicon.rattle(0.05, rng=rng)
    methanol.write("methanol.xyz")
    silicon.write("silicon.extxyz")
    methanol.write("two.extxyz")
    silicon.write("two.extxyz", append=True)
    return tmp_path


@pytest.fixture
def hydracalc():
    """Run a command line: the click result, stdout as JSON where asked for."""

    def run(*arguments, code=0, as_json=False):
        arguments = [str(a) for a in arguments] + (["--json"] if as_json else [])
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout) if as_json else result

    return run

"""Structures in files and a small model to screen them with."""

import ase.io
import pytest
from builders import make_model
from screened import make_structures

from hydracalc.checkpoint import save_checkpoint
from hydracalc.screening.piece_work import ModelChoice


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """File of a model whose branches are "organic" and "general"."""
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_checkpoint(path, make_model(), provenance={"recipe": "test"})
    return str(path)


@pytest.fixture
def choice(small_model):
    # other tests may have changed the threads of this process, which change the last digits
    return ModelChoice(model=small_model, device="cpu", threads=1)


@pytest.fixture
def structures():
    return make_structures(30)


@pytest.fixture
def file(tmp_path, structures):
    path = tmp_path / "structures.traj"  # every digit of the positions
    ase.io.write(path, structures)
    return path

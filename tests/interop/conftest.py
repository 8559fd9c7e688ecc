"""A model in float64 and the model that ships with the package."""

import pytest
from builders import make_model

from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import save_checkpoint


@pytest.fixture(scope="session")
def random_model(tmp_path_factory):
    """File of a model with every parameter random; its branches are "organic" and "general"."""
    path = tmp_path_factory.mktemp("models") / "random.safetensors"
    save_checkpoint(path, make_model(), provenance={})
    return path


@pytest.fixture(scope="session")
def shipped():
    """The model of the package: its branches state real levels of theory."""
    return HydraCalculator("mtl-all", dtype="float64", device="cpu")

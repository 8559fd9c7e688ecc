"""The models that must pass: a small one with random weights, and each that the package ships."""

import pytest
from builders import make_model

from hydracalc import registry
from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import save_checkpoint

RANDOM = "random weights"


@pytest.fixture(scope="session")
def random_model(tmp_path_factory):
    """File of a model with every parameter random and direct force heads."""
    path = tmp_path_factory.mktemp("models") / "random.safetensors"
    save_checkpoint(path, make_model(direct_forces=True), provenance={})
    return path


@pytest.fixture(scope="session", params=[RANDOM, *(m.name for m in registry.list_models())])
def model_name(request, random_model):
    """Name or path of a model."""
    return random_model if request.param == RANDOM else request.param


@pytest.fixture(scope="session")
def exact(model_name):
    """The model in float64, energies beyond the references, so that rounding hides nothing."""
    return HydraCalculator(model_name, dtype="float64", reference="interaction")

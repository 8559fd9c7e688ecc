"""A small model, and as little work as makes a number."""

import pytest
from builders import make_model

from hydracalc.benchmark.clock import Effort
from hydracalc.checkpoint import save_checkpoint


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """File of a float32 model whose branches are "organic" (no Si) and "general"."""
    import torch

    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    # parameters are random: small ones keep dynamics near the start
    model = make_model(dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    save_checkpoint(path, model, provenance={"recipe": "test"})
    return str(path)


@pytest.fixture
def brief():
    return Effort(seconds=0.0, min_rounds=2, max_rounds=2, warm_up=1)

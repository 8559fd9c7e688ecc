"""Fixtures of all tests; what builds them is in builders.py."""

import pytest
from builders import ENCODERS, make_model, structure_zoo


@pytest.fixture(params=ENCODERS)
def encoder(request):
    return request.param


@pytest.fixture
def model(encoder):
    """Two branches, random weights, float64."""
    return make_model(encoder)


@pytest.fixture
def zoo():
    return structure_zoo()

"""One fixture: each kind of structure."""

import pytest
from pairs import STRUCTURES


@pytest.fixture(params=STRUCTURES)
def atoms(request):
    """Each kind of structure, rattled so that no pair sits exactly at the cutoff."""
    copy = STRUCTURES[request.param].copy()
    copy.rattle(0.02, seed=11)
    return copy

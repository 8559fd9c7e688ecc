"""The runs of the papers."""

import pytest

from hydracalc.planning.published import published
from hydracalc.planning.sizes import measure_size


def test_the_run_of_2025_has_five_branches_and_24_million_structures():
    run = published("gfm-2025")
    assert len(run.branches) == 5
    assert run.num_structures == 24_000_000
    assert run.structures_per_rank() == pytest.approx(128, rel=0.01)
    assert measure_size(run.model).parameters(5) == 33_005_551


def test_the_run_of_2026_has_sixteen_branches_and_359_million_structures():
    run = published("gfm-2026")
    assert len(run.branches) == 16
    assert run.num_structures == 359_000_000
    assert run.structures_per_rank() == pytest.approx(25, rel=0.01)
    assert run.item_bytes == 8


def test_every_run_states_what_it_assumes():
    for name in ("gfm-2025", "gfm-2026"):
        assert any("20 edges an atom" in note for note in published(name).notes)


def test_another_run_is_refused():
    with pytest.raises(ValueError, match="'gfm-2024'; did you mean"):
        published("gfm-2024")

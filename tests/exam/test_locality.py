"""Energies that are not sums, and atoms that are felt from afar."""

import pytest
import subjects


@pytest.mark.parametrize(
    ("broken", "items"),
    [
        (subjects.Pooled, {"extensivity", "locality"}),
        (subjects.LongRange, {"extensivity", "locality"}),
        # a supercell has the composition of its cell, a far atom changes it
        (subjects.Composed, {"locality"}),
    ],
)
def test_what_is_felt_from_afar_fails(failed, broken, items):
    assert failed(broken()) == items

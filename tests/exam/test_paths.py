"""Jumps at a cutoff are found and measured, in pairs and in crystals."""

import pytest
import subjects
from ase.build import bulk
from ase.calculators.emt import EMT

from hydracalc.exam.examine import ExamConfig, examine


@pytest.mark.parametrize(
    ("broken", "items"),
    [
        (subjects.Truncated, {"dimers", "cutoff"}),
        (subjects.FewNeighbors, {"cutoff"}),  # pairs have no eleventh neighbor
    ],
)
def test_a_jump_fails(failed, broken, items):
    assert failed(broken()) == items


def test_a_jump_is_told_by_its_size_and_place(run):
    (item,) = run(subjects.Truncated(), only=["dimers"]).items
    energy = next(m for m in item.measurements if m.unit == "eV")
    bond = 2 * 1.06  # of argon, the wider of the pairs
    sixth = (bond / subjects.CUTOFF) ** 6
    assert energy.value == pytest.approx(subjects.DEPTH * (2 * sixth - sixth**2), rel=1e-3)
    assert energy.where == "Ar-Ar at 6.0000 A"


def test_the_step_in_a_pair_of_emt_is_found():
    """ASE's EMT ends with a weight of 1e-4 at 5.88 A: 1.1 meV for two aluminum atoms."""
    result = examine(EMT(), ExamConfig(items=["dimers"], structures=[bulk("Al", cubic=True)]))
    energy = next(m for m in result.items[0].measurements if m.unit == "eV")
    assert not result.passed
    assert 1e-3 < energy.value < 1.2e-3
    assert energy.where.startswith("Al-Al at 5.87")

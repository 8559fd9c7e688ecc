"""What the shipped model gets right of matter: atoms that repel, crystals that keep their size."""

import pytest
from shipped import LATTICES, PAIRS

from hydracalc.assessment.crystals import TOLERANCE, measure_lattice
from hydracalc.assessment.pairs import all_pairs, measure_pair
from hydracalc.calculator import HydraCalculator


@pytest.fixture(scope="module")
def calculator():
    return HydraCalculator("mtl-all", dtype="float64")


@pytest.mark.parametrize("branch", LATTICES)
def test_lattice_constants_are_near_experiment(calculator, branch):
    chosen = calculator.with_branch(branch)
    found = {
        element: measure_lattice(chosen, element, branch=branch, starts=(1.0,)).worst
        for element in LATTICES[branch]
    }
    assert {e: f"{error:+.1%}" for e, error in found.items() if abs(error) > TOLERANCE} == {}


@pytest.mark.parametrize("branch", PAIRS)
def test_two_atoms_repel_and_part_smoothly(branch):
    """In the precision that the model is shipped in."""
    chosen = HydraCalculator("mtl-all", branch=branch)
    curves = [measure_pair(chosen, pair, branch=branch) for pair in all_pairs(PAIRS[branch])]
    assert [c.remarks for c in curves if not (c.is_smooth and c.is_repulsive)] == []

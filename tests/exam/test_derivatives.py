"""Forces and stress that are no derivatives are found, and nothing else is blamed for them."""

import numpy as np
import pytest
import subjects

from hydracalc.exam.derivatives import slope


@pytest.mark.parametrize(
    ("broken", "items"),
    [
        (subjects.Curl, {"forces", "jacobian"}),  # belong to no energy
        (subjects.Scaled, {"forces"}),  # belong to another energy, so dF/dr is symmetric
        (subjects.WrongStress, {"stress"}),
        (subjects.HalfStress, {"stress"}),
    ],
)
def test_what_is_no_derivative_fails(failed, broken, items):
    assert failed(broken()) == items


def test_an_error_of_a_thousandth_is_told_by_its_size(run):
    class Slightly(subjects.Sound):
        def finish(self, edges, energy, forces, virial):
            forces[0, 0] += 1e-3
            return super().finish(edges, energy, forces, virial)

    (item,) = run(Slightly(), only=["forces"]).items
    assert not item.measurements[0].passes
    assert 1e-4 < item.measurements[0].value <= 1e-3


def test_the_difference_is_of_sixth_order():
    errors = [abs(slope(np.exp, step) - 1) for step in (0.2, 0.1)]
    assert errors[0] / errors[1] == pytest.approx(64, rel=0.05)

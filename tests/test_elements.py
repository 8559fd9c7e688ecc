"""Symbols, numbers and formulas."""

import numpy as np
import pytest

from hydracalc import elements


def test_numbers_and_symbols_are_inverse():
    for z in range(1, 119):
        assert elements.number(elements.symbol(z)) == z


@pytest.mark.parametrize("symbol", ["X", "Si2", "", "h"])
def test_no_element_is_refused(symbol):
    with pytest.raises(ValueError, match="unknown element"):
        elements.number(symbol)


def test_a_formula_is_the_same_for_every_order_of_atoms():
    assert elements.formula(np.array([8, 1, 1])) == elements.formula(np.array([1, 8, 1])) == "H2O"
    assert elements.composition(np.array([8, 1, 1]))[[1, 8]].tolist() == [2, 1]
    assert elements.symbols([8, 1, 1]) == ["H", "O"]


def test_the_reduced_formula_does_not_see_the_cell_size():
    one = np.array([26, 8, 8, 26, 8])
    assert elements.reduced_formula(one) == elements.reduced_formula(np.tile(one, 6)) == "O3Fe2"
    assert elements.reduced_formula(np.array([6])) == "C"
    assert elements.reduced_formula(np.array([26, 8])) != elements.reduced_formula(one)

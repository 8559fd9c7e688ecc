"""Reference energies: the fit, what it leaves open, and what it refuses."""

import numpy as np
import pytest

from hydracalc import elements, references

TRUE = {"H": -13.6, "C": -1030.0, "O": -2042.0}


def compositions(*counts):
    table = np.zeros((len(counts), elements.NUM_ELEMENTS))
    for row, count in zip(table, counts, strict=True):
        for symbol, number in count.items():
            row[elements.number(symbol)] = number
    return table


MOLECULES = compositions(
    {"H": 4, "C": 1}, {"H": 2, "O": 1}, {"C": 1, "O": 2}, {"H": 6, "C": 2, "O": 1}
)


def energies_of(table):
    return table @ np.nan_to_num(references.from_json(TRUE).energies)


def test_the_fit_recovers_additive_energies_and_leaves_absent_elements_without_one():
    fitted = references.fit(MOLECULES, energies_of(MOLECULES))
    for symbol, energy in TRUE.items():
        assert fitted.energies[elements.number(symbol)] == pytest.approx(energy, rel=1e-9)
    assert fitted.supported.sum() == 3
    assert np.isnan(fitted.energies[2])


def test_compositions_that_do_not_tell_elements_apart_still_give_exact_baselines():
    water = compositions({"H": 2, "O": 1}, {"H": 4, "O": 2})
    fitted = references.fit(water, energies_of(water))
    numbers = np.array([1, 8, 1])
    assert fitted.baseline(numbers) == pytest.approx(2 * TRUE["H"] + TRUE["O"], rel=1e-9)
    assert np.abs(fitted.energies[[1, 8]]).max() < 2100


def test_a_large_structure_does_not_outweigh_small_ones():
    """An offset of 1 eV per atom moves every reference by 1 eV."""
    fitted = references.fit(MOLECULES, energies_of(MOLECULES) + MOLECULES.sum(axis=1))
    for symbol, energy in TRUE.items():
        assert fitted.energies[elements.number(symbol)] == pytest.approx(energy + 1, rel=1e-9)


def test_the_normalized_energy_is_per_atom_beyond_the_references():
    table = references.from_json(TRUE)
    numbers = np.array([1, 1, 8])
    assert table.normalize(table.baseline(numbers) + 3.0, numbers) == pytest.approx(1.0)


def test_an_element_without_reference_is_refused_by_name():
    table = references.from_json(TRUE)
    with pytest.raises(
        ValueError, match=r"no reference energy for \['Si'\]; known: \['H', 'C', 'O'\]"
    ):
        table.baseline(np.array([14, 1]))


def test_json_keeps_every_bit():
    table = references.fit(MOLECULES, energies_of(MOLECULES) + np.pi)
    again = references.from_json(table.to_json())
    np.testing.assert_array_equal(again.energies, table.energies)


def test_nothing_and_nan_are_refused():
    with pytest.raises(ValueError, match="got 0"):
        references.fit(MOLECULES[:0], np.zeros(0))
    with pytest.raises(ValueError, match="1 energies are not finite"):
        references.fit(MOLECULES, np.array([1, np.nan, 2, 3]))

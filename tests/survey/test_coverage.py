"""What compositions say about references, where it can be told by hand."""

import numpy as np
import pytest
from published import make_structure

from hydracalc import references
from hydracalc.shards.table import from_structures
from hydracalc.survey.coverage import CompositionMatrix


def coverage_of(formulas, splits=None, pieces=1, **changes):
    structures = [make_structure(n, f, **changes) for n, f in enumerate(formulas)]
    matrix = CompositionMatrix()
    splits = splits or [0] * len(structures)
    for rows in np.array_split(np.arange(len(structures)), pieces):
        matrix.add(from_structures("own", [structures[i] for i in rows], [splits[i] for i in rows]))
    return matrix.coverage()


def test_as_many_compositions_as_elements_determine_all():
    coverage = coverage_of([(8, 1, 1), (6, 1, 1), (6, 8)])
    assert (coverage.rank, coverage.num_elements) == (3, 3)
    assert coverage.not_determined == ()
    fractions = np.array([[2, 0, 1], [2, 1, 0], [0, 1.5, 1.5]]) / 3
    assert coverage.condition == pytest.approx(np.linalg.cond(fractions))


def test_water_alone_determines_one_combination():
    """A reference of O can be raised by 2 if that of H is lowered by 1: no baseline changes."""
    coverage = coverage_of([(8, 1, 1)] * 5)
    assert (coverage.rank, coverage.num_elements) == (1, 2)
    assert coverage.not_determined == ("H", "O")
    (free,) = coverage.free_combinations
    assert free["O"] / free["H"] == pytest.approx(-2.0)


def test_elements_that_are_determined_are_not_blamed():
    coverage = coverage_of([(6, 6), (6, 8, 1, 1), (8, 1, 1)])
    assert coverage.rank == 2
    assert coverage.not_determined == ("H", "O")


def test_free_combinations_change_no_baseline():
    formulas = [(14, 8, 8), (14, 8, 8, 1, 6), (6, 1), (6, 6, 1, 1)]
    coverage = coverage_of(formulas)
    assert len(coverage.free_combinations) == coverage.num_elements - coverage.rank == 2
    for weights in coverage.free_combinations:
        table = np.nan_to_num(references.from_json(weights).energies)
        for numbers in formulas:
            assert table[list(numbers)].sum() == pytest.approx(0, abs=1e-9)


def test_pieces_do_not_matter_and_only_labelled_training_structures_count():
    formulas = [(8, 1, 1), (6, 1, 1, 1, 1), (6, 8), (8, 8), (14, 8, 8)] * 3
    whole, apart = coverage_of(formulas), coverage_of(formulas, pieces=6)
    assert apart.condition == pytest.approx(whole.condition, rel=1e-9)
    assert coverage_of(formulas, splits=[1] * len(formulas)) is None
    assert coverage_of(formulas, energy=None) is None
    assert coverage_of(formulas, splits=[0, 1, 2, 2, 2] * 3).num_elements == 2

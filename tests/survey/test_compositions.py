"""Distinct compositions of a table."""

import numpy as np

from hydracalc import elements
from hydracalc.shards.table import from_structures
from hydracalc.structure import AtomicStructure
from hydracalc.survey.compositions import distinct_compositions

FORMULAS = [(8, 1, 1), (1, 8, 1), (8, 8, 1, 1, 1, 1), (6,), (1, 1), (1, 8, 1), (6, 6, 6)]


def found(formulas):
    structures = [
        AtomicStructure(atomic_numbers=np.array(f), positions=np.zeros((len(f), 3)))
        for f in formulas
    ]
    return distinct_compositions(from_structures("own", structures, [0] * len(structures)))


def test_every_structure_finds_its_composition():
    distinct = found(FORMULAS)
    assert len(distinct.hashes) == 5
    for row, numbers in enumerate(FORMULAS):
        counts = distinct.counts[distinct.index[row]]
        assert np.array_equal(counts, elements.composition(np.array(numbers)))


def test_hashes_are_equal_where_formulas_are():
    distinct = found(FORMULAS)
    own = distinct.hashes[distinct.index]
    reduced = distinct.reduced_hashes[distinct.index]
    for one in range(len(FORMULAS)):
        for other in range(len(FORMULAS)):
            a, b = np.array(FORMULAS[one]), np.array(FORMULAS[other])
            assert (own[one] == own[other]) == (elements.formula(a) == elements.formula(b))
            same = elements.reduced_formula(a) == elements.reduced_formula(b)
            assert (reduced[one] == reduced[other]) == same


def test_hashes_do_not_depend_on_the_table():
    assert set(found(FORMULAS[:3]).hashes) <= set(found(FORMULAS).hashes)


def test_many_compositions_have_as_many_hashes():
    rng = np.random.default_rng(0)
    formulas = {
        tuple(sorted(rng.integers(1, 119, rng.integers(1, 6)).tolist())) for _ in range(2000)
    }
    assert len(found(sorted(formulas)).hashes) == len(formulas)

"""How compositions are held out, and how their errors are averaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule

from hydracalc.elements import reduced_formula
from hydracalc.structure import from_atoms
from hydracalc.weighting import held_out

NAMES = ("H2O", "CH4", "NH3", "CO2", "C2H6", "C2H4", "HCN")


def test_all_structures_of_a_composition_are_in_one_part_and_no_part_is_empty():
    structures = [from_atoms(molecule(name)) for name in NAMES * 3]
    parts = held_out.folds(structures, 3, seed=1)
    assert sorted(set(parts)) == [0, 1, 2]
    for name in NAMES:
        formula = reduced_formula(molecule(name).numbers)
        same = [
            p
            for s, p in zip(structures, parts, strict=True)
            if reduced_formula(s.atomic_numbers) == formula
        ]
        assert len(set(same)) == 1


def test_a_structure_and_its_multiple_are_one_composition():
    single, twice = molecule("NH3"), molecule("NH3") + molecule("NH3")
    with pytest.raises(ValueError, match="two compositions"):
        held_out.folds([from_atoms(single), from_atoms(twice)], 2, seed=0)


def test_choices_give_nothing_to_a_branch_that_lacks_an_element():
    known = torch.tensor([[True, True], [True, False]])
    own, auto = torch.tensor([1, 0]), torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    found = held_out.choices(("a", "b"), known, own, auto)
    assert list(found) == ["auto", "uniform", "own", "a", "b"]
    assert found["uniform"].tolist() == [[0.5, 0.5], [1.0, 0.0]]
    assert found["own"].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert found["b"].tolist() == [[0.0, 1.0], [0.0, 0.0]]


def test_the_mean_counts_every_composition_of_a_dataset_once():
    structures = [from_atoms(molecule(name)) for name in ("H2O", "H2O", "H2O", "CH4")]
    votes = held_out._Votes(structures, {})
    rows = np.ones(4, dtype=bool)
    assert votes.mean(np.array([1.0, 2.0, 3.0, 10.0]), rows) == pytest.approx(6.0)
    rows[3] = False
    assert votes.mean(np.array([1.0, 2.0, 3.0, 10.0]), rows) == pytest.approx(2.0)
    wary = held_out._Votes([*structures, replace(structures[0], branch="cheap")], {"cheap": 0.5})
    errors = np.array([1.0, 2.0, 3.0, 10.0, 12.0])
    expected = (2.0 + 10.0 + 0.5 * 12.0) / 2.5
    assert wary.mean(errors, np.ones(5, dtype=bool)) == pytest.approx(expected)

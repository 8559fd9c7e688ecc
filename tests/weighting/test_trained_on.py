"""What branches were trained on, by composition, and how much it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule
from builders import rattled

from hydracalc.structure import from_atoms
from hydracalc.weighting.trained_on import TrainedOn


def pushed(name, force):
    """A molecule on whose atoms every force component is this large, eV/Angstrom."""
    structure = from_atoms(rattled(molecule(name)))
    return replace(structure, forces=np.full((structure.num_atoms, 3), force))


def test_a_structure_at_rest_says_nothing_and_a_strained_one_nearly_all():
    seen = TrainedOn(("a",), 1.0)
    blind = replace(pushed("CH4", 1.0), forces=None)
    seen.add("a", [pushed("CH4", 0.0), pushed("CH4", 3.0), pushed("H2O", 3.0), blind])
    told = seen.summary()["a"]
    assert (told["compositions"], told["structures"]) == (2, 4)
    assert told["coverage"] == pytest.approx(1.5)


def test_a_composition_and_its_multiple_are_one():
    seen = TrainedOn(("a", "b"), 1.0)
    seen.add("a", [pushed("C2H4", 1.0)])
    seen.add("b", [from_atoms(molecule("C2H4") + molecule("C2H4"))])
    assert len(seen.fractions) == 1


def test_the_table_knows_a_composition_its_likes_and_nothing_far_away():
    seen = TrainedOn(("a", "b"), 1.0)
    seen.add("a", [pushed("CH3CH2OH", 1.0)] * 10)
    seen.add("b", [pushed("CH4", 1.0), pushed("C2H6", 1.0), pushed("CH3OH", 1.0)])
    table = seen.table({})

    def of(name):
        numbers = molecule(name).numbers
        fractions = torch.bincount(torch.from_numpy(numbers), minlength=119) / len(numbers)
        return table(fractions[None].double())[0].softmax(dim=0)

    assert of("CH3CH2OH")[0] > 0.8  # seen ten times by the first
    assert of("CH4")[1] > 0.6  # the second saw its likes
    assert of("Cl2").tolist() == pytest.approx([0.5, 0.5], abs=0.2)


def test_a_small_change_of_composition_changes_little():
    seen = TrainedOn(("a", "b"), 1.0)
    seen.add("a", [pushed("CH3CH2OH", 1.0)] * 10)
    seen.add("b", [pushed("CH4", 1.0)])
    near = torch.zeros(2, 119, dtype=torch.float64)
    near[:, [1, 6, 8]] = torch.tensor([6 / 9, 2 / 9, 1 / 9], dtype=torch.float64)
    near[1, [1, 6]] += torch.tensor([1e-5, -1e-5])
    first, second = seen.table({})(near).softmax(dim=1)
    torch.testing.assert_close(first, second, atol=5e-3, rtol=0)


def test_nothing_trained_on_is_an_empty_table():
    table = TrainedOn(("a", "b"), 1.0).table({})
    fractions = torch.zeros(3, 119, dtype=torch.float64)
    fractions[:, 6] = 1
    assert table(fractions).softmax(dim=1).tolist() == [[0.5, 0.5]] * 3


def test_a_branch_that_is_not_trusted_says_less():
    """The very composition was seen by both, by the cheap one ten times as often."""
    seen = TrainedOn(("cheap", "good"), 1.0)
    seen.add("cheap", [pushed("CH4", 1.0)] * 10)
    seen.add("good", [pushed("CH4", 1.0)])
    methane = torch.zeros(1, 119, dtype=torch.float64)
    methane[0, [1, 6]] = torch.tensor([0.8, 0.2], dtype=torch.float64)
    plain, wary = (seen.table(t)(methane).softmax(dim=1)[0] for t in ({}, {"cheap": 0.01}))
    assert plain[0] > 0.7
    assert wary[0] < 0.1

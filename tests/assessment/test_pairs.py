"""Curves of two atoms: which are smooth, which repel, how often they turn."""

import numpy as np
import pytest
from subjects import Sound, Sticky, Truncated

from hydracalc.assessment import pairs
from hydracalc.exam.pairs import Pair


def test_six_elements_make_twenty_one_pairs():
    names = [pair.name for pair in pairs.all_pairs()]
    assert len(set(names)) == 21
    assert names[0] == "H-H"
    assert names[-1] == "Cu-Cu"


def test_a_sound_potential_is_smooth_and_repels():
    found = pairs.measure_pair(Sound(), Pair("C", "O"), branch="sound")
    assert found.is_smooth
    assert found.is_repulsive
    assert found.remarks == []


def test_a_hole_at_short_range_and_a_cut_are_found():
    hole = pairs.measure_pair(Sticky(), Pair("O", "O"), branch="hole")
    assert not hole.is_repulsive
    cut = pairs.measure_pair(Truncated(), Pair("O", "O"), branch="cut")
    assert not cut.is_smooth
    assert cut.is_repulsive
    assert any("jump" in remark for remark in cut.remarks)


@pytest.mark.parametrize(
    ("energies", "turns"),
    [
        ([3, 1, 0.2, 0, 0], 0),
        ([3, 0, -1, -0.5, 0, 0], 1),
        ([3, -1, 0.5, -0.2, 0], 3),
        ([3, 1, 1.0005, 0, 0], 0),  # too small to be a turn
    ],
)
def test_turns_of_a_curve(energies, turns):
    assert pairs._turns(np.array(energies, dtype=float)) == turns

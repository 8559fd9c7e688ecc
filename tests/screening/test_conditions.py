"""Conditions are comparisons with numbers and nothing else."""

import numpy as np
import pytest

from hydracalc.screening.conditions import parse_conditions

COLUMNS = ("energy_per_atom", "max_force", "weight.mptrj")
VALUES = np.array([-4.0, -3.0, np.nan, 1e-3])


def held(text):
    (condition,) = parse_conditions([text], COLUMNS)
    return condition.holds(VALUES).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_force<-3", [True, False, False, False]),
        ("max_force <= -3", [True, True, False, False]),
        ("max_force>-3", [False, False, False, True]),
        ("max_force >= -3.0", [False, True, False, True]),
        ("max_force == 1e-3", [False, False, False, True]),
        ("max_force!=-3", [True, False, False, True]),
    ],
)
def test_a_comparison_holds_where_it_is_true_and_never_of_nan(text, expected):
    assert held(text) == expected


def test_several_are_joined_by_words_commas_and_options():
    found = parse_conditions(
        ["energy_per_atom<-3 and max_force<=0.5, weight.mptrj>0.2", "max_force>0"], COLUMNS
    )
    assert [c.column for c in found] == [
        "energy_per_atom",
        "max_force",
        "weight.mptrj",
        "max_force",
    ]
    assert [c.comparison for c in found] == ["<", "<=", ">", ">"]
    assert [c.value for c in found] == [-3, 0.5, 0.2, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_forc<1", "unknown column 'max_forc'; did you mean 'max_force'"),
        ("max_force<one", "'one' is no number"),
        ("max_force<nan", "'nan' is no number"),
        ("max_force", "expected COLUMN"),
        ("max_force<1 or max_force>2", "expected COLUMN"),
        ("__import__('os')", "expected COLUMN"),
        ("max_force<1 and", "expected COLUMN"),
        ("1<max_force", "expected COLUMN"),
    ],
)
def test_anything_else_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_conditions([text], COLUMNS)

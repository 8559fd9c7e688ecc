"""No group trains and tests; which side it is on depends on seed and name alone."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import make_structure

from hydracalc.errors import DataError
from hydracalc.ingest.splitting import SplitConfig, Splitter

STRUCTURE = make_structure(1)


def in_group(group, split=None):
    return make_structure(1, group=group, split=split)


def splits_of(groups, **config):
    splitter = Splitter(SplitConfig(**config))
    return [splitter.split_of(in_group(group)) for group in groups]


@given(st.lists(st.text(min_size=1, max_size=3), max_size=30), st.integers(0, 2**40))
def test_a_group_is_on_one_side(groups, seed):
    sides = {}
    for group, side in zip(groups, splits_of(groups, seed=seed), strict=True):
        assert sides.setdefault(group, side) == side


def test_the_order_of_the_data_changes_nothing():
    groups = [f"H{n}" for n in range(200)]
    forwards = dict(zip(groups, splits_of(groups), strict=True))
    backwards = dict(zip(groups[::-1], splits_of(groups[::-1]), strict=True))
    assert forwards == backwards


def test_another_seed_deals_anew():
    groups = [f"H{n}" for n in range(200)]
    assert splits_of(groups, seed=1) != splits_of(groups, seed=2)
    assert splits_of(groups, seed=1) == splits_of(groups, seed=1)


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.1), (0.3, 0.2), (0.0, 0.5), (0.0, 0.0)])
def test_groups_are_shared_out_as_asked(val, test):
    counts = Counter(splits_of([f"group {n}" for n in range(5000)], val=val, test=test))
    assert counts["val"] / 5000 == pytest.approx(val, abs=0.02)
    assert counts["test"] / 5000 == pytest.approx(test, abs=0.02)


def test_a_published_split_is_kept():
    splitter = Splitter(SplitConfig())
    sides = ["train", "val", "test"] * 10
    found = [splitter.split_of(in_group(f"g{n}", side)) for n, side in enumerate(sides)]
    assert found == sides


def test_a_structure_without_published_split_follows_its_group():
    for number in range(20):
        splitter = Splitter(SplitConfig())
        splitter.split_of(in_group(f"g{number}", "test"))
        assert splitter.split_of(in_group(f"g{number}")) == "test"


def test_a_published_split_that_divides_a_group_is_an_error():
    splitter = Splitter(SplitConfig())
    splitter.split_of(in_group("benzene", "train"))
    with pytest.raises(DataError, match="'test', but its group 'benzene' is in 'train' already"):
        splitter.split_of(in_group("benzene", "test"))


def test_a_structure_without_group_is_refused():
    with pytest.raises(ValueError, match="structure 1 has no group"):
        splits_of([""])


def test_an_unknown_published_split_is_refused():
    with pytest.raises(ValueError, match="unknown split 'validation'"):
        Splitter(SplitConfig()).split_of(in_group("a", "validation"))


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (-0.1, 0.1), (0.1, float("nan"))])
def test_fractions_must_leave_something_to_train(fractions):
    with pytest.raises(ValueError, match="sum below 1"):
        SplitConfig(val=fractions[0], test=fractions[1])

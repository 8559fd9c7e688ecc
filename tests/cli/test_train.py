"""`hydracalc weight`: words that it refuses; what it does is tested with a whole run."""

import pytest


@pytest.mark.parametrize("word", ["general", "general=much"])
def test_trust_wants_a_branch_and_a_share(hydracalc, small_model, word):
    result = hydracalc("weight", small_model, "nowhere", "-o", "x", "--trust", word, code=2)
    assert f"trust '{word}', expected BRANCH=SHARE" in result.stderr


def test_trust_is_at_most_one(hydracalc, small_model):
    result = hydracalc("weight", small_model, "nowhere", "-o", "x", "--trust", "a=2", code=2)
    assert "trust in a is 2.0, expected above 0, at most 1" in result.stderr

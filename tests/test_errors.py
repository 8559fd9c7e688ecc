"""The message for a name nobody knows."""

from hydracalc.errors import DataError, unknown


def test_the_nearest_name_is_offered_and_all_are_listed():
    message = unknown("branch", "mptraj", ["mptrj", "ani1x"])
    assert message == "unknown branch 'mptraj'; did you mean 'mptrj'? (known: ani1x, mptrj)"


def test_nothing_near_is_offered_where_nothing_is_near():
    assert unknown("model", "zzz", ["mtl-all"]) == "unknown model 'zzz' (known: mtl-all)"
    assert unknown("model", "zzz", []) == "unknown model 'zzz' (known: none)"


def test_damaged_data_is_a_value_error_that_can_be_told_apart():
    assert issubclass(DataError, ValueError)

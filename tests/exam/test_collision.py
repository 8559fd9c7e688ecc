"""Atoms that collide push each other apart."""

import subjects


def test_a_well_at_contact_fails_and_is_told_with_the_climb_before_it(failed, run):
    assert failed(subjects.Sticky()) == {"collision"}
    (item,) = run(subjects.Sticky(), only=["collision"]).items
    assert all(" eV up" in measured.where for measured in item.measurements)

"""A wrong unit, sign or order in a card is seen by the check of labels, for every dataset."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from hydracalc import units
from hydracalc.checks.card_choices import alternatives, changed
from hydracalc.checks.label_check import findings
from hydracalc.errors import DataError
from hydracalc.ingest.catalog import list_datasets, load_adapter

FOLDERS = list_datasets()
QUANTITIES = {"energy": "energy", "length": "length", "forces": "force", "stress": "stress"}
OTHERS = ("forces_sign", "stress_sign", "stress_order")

# what a sample cannot tell from the truth, and why
BLIND = {
    # 5.5 % apart; one conformation each of large molecules, so that only bonds to hydrogen tell
    ("nabla2dft", "forces", "Rydberg/Bohr"),
    # 36 % apart; five small charged molecules, of which two are close to each other
    ("omol25_charged", "forces", "Rydberg/nm"),
    # 36 % apart; relaxations at a fixed basis, whose energies scatter around the work of forces
    ("jarvis", "forces", "Rydberg/nm"),
}


def read_with(name, card):
    """Structures of a sample as read by another card."""
    adapter = load_adapter(name)
    adapter.card = card
    return list(adapter.read(FOLDERS[name] / "sample"))


@pytest.fixture
def card(adapter, folder):
    return adapter.card_of(folder / "sample")


def rescaled(structures, field, factor):
    """Structures as read with a unit that is `factor` times as large."""
    if field == "length":
        return [
            replace(s, positions=s.positions * factor, cell=s.cell * factor) for s in structures
        ]
    return [
        s if getattr(s, field) is None else replace(s, **{field: getattr(s, field) * factor})
        for s in structures
    ]


def misread(name, card, right):
    """Every wrong reading of a sample: entry of the card, value, function that reads.

    The first wrong unit of each quantity is put into the card and the files are read again; the
    others only rescale what was read.
    """
    for entry in (*QUANTITIES, *OTHERS):
        stated, *wrong = alternatives(card.labels, entry) or (None,)
        for number, value in enumerate(wrong):
            if number == 0 or entry in OTHERS:
                read = functools.partial(read_with, name, changed(card, {entry: value}))
            else:
                quantity = QUANTITIES[entry]
                factor = units.factor(value, quantity) / units.factor(stated, quantity)
                read = functools.partial(rescaled, right, entry, factor)
            yield entry, value, read


def is_caught(read, card):
    """Whether reading fails or a finding does."""
    try:
        structures = read()
    except DataError:  # an adapter that holds labels against each other refuses them
        return True
    return any(finding.verdict == "failed" for finding in findings(structures, card))


def test_a_wrong_unit_sign_or_order_in_the_card_is_caught(dataset, card, structures):
    missed = {
        (dataset, entry, value)
        for entry, value, read in misread(dataset, card, structures)
        if not is_caught(read, card)
    }
    assert missed == {blind for blind in BLIND if blind[0] == dataset}


@pytest.mark.parametrize(("entry", "value"), [("energy", "eV"), ("length", "Bohr")])
def test_rescaling_is_what_reading_with_another_unit_does(sample, entry, value):
    """The test of the test."""
    card = load_adapter("ani1x").card
    factor = units.factor(value, entry) / units.factor(getattr(card.labels, entry), entry)
    again = read_with("ani1x", changed(card, {entry: value}))
    for first, second in zip(again, rescaled(sample("ani1x"), entry, factor), strict=True):
        np.testing.assert_allclose(first.energy, second.energy)
        np.testing.assert_allclose(first.positions, second.positions)

"""Cards are read strictly: units and keys are checked when the card is, not when data is."""

import pytest

from hydracalc.card import read_card

CARD = """
branch = "toy"
title = "A toy"
theory = "none"
labels = { energy = "Hartree", forces = "Hartree/Angstrom" }
group = "molecule"
elements = ["O", "H"]
license = "CC0-1.0"
files = [{ name = "toy.h5", url = "https://example.org/toy.h5" }]
"""


def write(tmp_path, text):
    path = tmp_path / "card.toml"
    path.write_text(text)
    return path


def test_a_card_is_read(tmp_path):
    card = read_card(write(tmp_path, CARD))
    assert card.labels.forces == "Hartree/Angstrom"
    assert card.elements == ("H", "O")
    assert card.files[0].name == "toy.h5"
    assert card.computed_by is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"Hartree"', '"Hartre"', "unknown energy unit 'Hartre'"),
        ('"Hartree/Angstrom"', '"eV"', "unknown force unit 'eV'"),
        ('"O"', '"Q"', "unknown element 'Q'"),
        ('theory = "none"', "", "theory"),
        ("title", "titel", "titel"),
        ("[", "", "card.toml"),
    ],
)
def test_a_wrong_card_is_refused_with_its_path(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_card(write(tmp_path, CARD.replace(old, new, 1)))
    assert "card.toml" in str(caught.value)

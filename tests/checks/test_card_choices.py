"""What a card leaves open is settled by physics, as far as the structures allow."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from builders import labelled, make_card

from hydracalc import units
from hydracalc.checks.card_choices import alternatives, changed, fitting_choices
from hydracalc.errors import DataError
from hydracalc.ingest.adapter import Adapter

STATED = {
    "length": "Bohr",
    "energy": "Hartree",
    "forces": "Hartree/Bohr",
    "forces_sign": "gradient",
    "stress": "kBar",
    "stress_sign": "compression positive",
    "stress_order": "xx yy zz xy yz xz",
}
ORDER = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2))


class Published(Adapter):
    """Strained copper as another program would publish it, stress as six numbers."""

    def structures(self, part):
        rng = np.random.default_rng(1)
        for _ in range(24):
            atoms = bulk("Cu", cubic=True)
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.01, (3, 3))), True)
            atoms.positions += rng.normal(0, 0.015, (len(atoms), 3))
            right = labelled(atoms, EMT(), stress=True, group="one")
            six = [-right.stress[i, j] / units.KILOBAR for i, j in ORDER]
            yield self.converted(
                replace(
                    right,
                    positions=right.positions / units.BOHR,
                    cell=right.cell / units.BOHR,
                    energy=right.energy / units.HARTREE,
                    forces=-right.forces * units.BOHR / units.HARTREE,
                    stress=self.stress_matrix(six),
                )
            )


@pytest.fixture(scope="module")
def card():
    return changed(make_card("own", ("Cu",)), STATED)


def read_with(card):
    return list(Published(card).structures(None))


@pytest.mark.parametrize(
    "unknown", ["length", "forces_sign", "stress", "stress_sign", "stress_order", "energy"]
)
def test_one_unknown_is_settled(card, unknown):
    choices = fitting_choices(read_with, card, unknown=[unknown])
    assert [choice.labels for choice in choices if choice.fits] == [{unknown: STATED[unknown]}]
    assert len(choices) == len(alternatives(card.labels, unknown))


def test_two_unknowns_are_settled_together(card):
    wrong = changed(card, {"stress_sign": "tension positive", "stress": "GPa"})
    choices = fitting_choices(read_with, wrong, unknown=["stress", "stress_sign"])
    assert len(choices) == 6
    assert choices[0].labels == {"stress": "kBar", "stress_sign": "compression positive"}
    assert [choice.fits for choice in choices] == [True] + 5 * [False]


def test_several_fit_where_structures_do_not_tell(card):
    few = lambda card: read_with(card)[:1]  # noqa: E731
    choices = fitting_choices(few, card, unknown=["stress"])
    assert all(choice.fits for choice in choices)


def test_an_adapter_that_refuses_does_not_fit(card):
    def refuse(card):
        if card.labels.energy != "Hartree":
            raise DataError("labels contradict each other")
        return read_with(card)

    choices = fitting_choices(refuse, card, unknown=["energy"])
    assert [choice.labels["energy"] for choice in choices if choice.fits] == ["Hartree"]
    assert choices[1].report is None


def test_alternatives_begin_with_what_is_stated(card):
    assert alternatives(card.labels, "length") == ("Bohr", "Angstrom", "nm")
    assert alternatives(card.labels, "stress_sign") == ("compression positive", "tension positive")
    assert len(alternatives(card.labels, "forces")) == len(units.FORCE)
    plain = make_card("own", ("Cu",)).labels
    assert alternatives(plain, "stress_sign") == ()
    assert alternatives(plain, "stress_order") == ()
    assert alternatives(plain, "forces_sign") == ("force", "gradient")


def test_what_is_asked_for_must_exist(card):
    with pytest.raises(ValueError, match="nothing is unknown"):
        fitting_choices(read_with, card, unknown=[])
    with pytest.raises(ValueError, match="did you mean 'length'"):
        fitting_choices(read_with, card, unknown=["lenght"])
    with pytest.raises(ValueError, match="states no labels that have a stress_sign"):
        fitting_choices(read_with, make_card("own", ("Cu",)), unknown=["stress_sign"])
    with pytest.raises(ValueError, match="unknown energy unit"):
        changed(card, {"energy": "erg"})

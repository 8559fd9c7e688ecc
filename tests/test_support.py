"""What no label covered is said before a prediction is believed."""

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from builders import make_model

from hydracalc.mixture import choose
from hydracalc.predictor import Predictor
from hydracalc.structure import from_atoms
from hydracalc.support import doubts


@pytest.fixture
def model():
    made = make_model()
    made.weighting.seen[14] = False  # Si
    return made


def doubts_of(model, atoms, branch="auto"):
    return doubts(model, choose(model, branch), from_atoms(atoms))


def test_what_was_trained_on_raises_no_doubt(model):
    water = molecule("H2O")
    water.info.update(charge=-2, spin=3)
    assert doubts_of(model, water) == []
    assert doubts_of(model, water, "organic") == []


def test_charges_and_spins_that_no_label_had_are_named(model):
    ion = molecule("H2O")
    ion.info.update(charge=4, spin=6)
    found = doubts_of(model, ion)
    assert "total charge 4 is new to organic, general (trained on [-2, -1, 0, 1, 2])" in found[0]
    assert "spin multiplicity 6 is new to" in found[1]
    assert "new to general" in doubts_of(model, ion, "general")[0]


def test_elements_the_weighting_never_saw_are_named_where_weights_matter(model):
    model.weighting.seen[8] = False
    assert "trained without O" in doubts_of(model, molecule("H2O"))[0]
    assert doubts_of(model, molecule("H2O"), "general") == []
    # silicon has one branch alone: there is nothing to weigh
    assert doubts_of(model, bulk("Si")) == []


def test_a_prediction_warns(model):
    ion = Atoms("OH", [[0, 0, 0], [0, 0, 1.0]], info={"charge": 4})
    with pytest.warns(UserWarning, match="total charge 4 is new"):
        Predictor(model).predict([from_atoms(ion)])

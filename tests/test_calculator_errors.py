"""Input that makes no sense is answered by one message that says what is allowed."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from builders import make_model

from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import save_checkpoint


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_checkpoint(path, make_model(direct_forces=True), provenance={})
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branch": "organik"}, "unknown branch 'organik'; did you mean 'organic'"),
        ({"device": "cdua"}, "unknown device 'cdua'; did you mean 'cuda'"),
        ({"device": "cuda:77"}, "this machine has"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
        ({"reference": "none"}, "unknown reference"),
        ({"forces": "auto"}, "unknown kind of forces"),
        ({"forces": None}, "expected 'conservative' or 'direct'"),
        ({"skin": -1.0}, "skin is -1"),
        ({"uncertainty": "branch"}, "did you mean 'branches'"),
        ({"uncertainty": "ensemble"}, "needs an ensemble"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(path, options, message):
    with pytest.raises(ValueError, match=message):
        HydraCalculator(path, **options)


def test_options_are_keyword_only(path):
    with pytest.raises(TypeError):
        HydraCalculator(path, "organic")


def test_an_unknown_model_offers_what_there_is(tmp_path):
    with pytest.raises(ValueError, match="unknown model 'no-such-model'"):
        HydraCalculator("no-such-model")
    with pytest.raises(ValueError, match="no such model file"):
        HydraCalculator(tmp_path / "none.safetensors")


def test_unsupported_elements_are_noticed_on_assignment_and_later(path):
    calc = HydraCalculator(path, branch="organic")
    atoms = bulk("Si")
    with pytest.raises(ValueError, match="does not know Si .*general"):
        atoms.calc = calc
    water = molecule("H2O")
    water.calc = calc
    water.numbers[0] = 14
    with pytest.raises(ValueError, match="does not know Si"):
        water.get_potential_energy()


@pytest.mark.filterwarnings("ignore:total charge 99 is new")
@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms(), "has no atoms"),
        (Atoms("CO", [[0, 0, 0], [0, 0, np.nan]]), "not finite"),
        (Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], pbc=True), "lattice vector"),
        (Atoms("CO", [[0, 0, 0], [0, 0, 0]]), "same place"),
        (Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], info={"spin": 0}), r"atoms\.info\['spin'\]"),
        (Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], info={"charge": 99}), "total_charge"),
    ],
)
def test_structures_that_make_no_sense_are_refused(path, atoms, message):
    calc = HydraCalculator(path, branch="organic")
    for _ in range(2):  # the second time too, as nothing is cached
        with pytest.raises(ValueError, match=message):
            calc.get_potential_energy(atoms)
    assert calc.results == {}


def test_overlapping_atoms_are_warned_of(path):
    with pytest.warns(UserWarning, match="0.30 Angstrom apart"):
        HydraCalculator(path).get_potential_energy(Atoms("CO", [[0, 0, 0], [0, 0, 0.3]]))

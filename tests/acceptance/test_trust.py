"""Nothing is chosen silently, and a model file that was touched is not used."""

import pickletools
import shutil

import pytest
from ase import Atoms
from ase.build import bulk, molecule

from hydracalc import registry
from hydracalc.calculator import HydraCalculator
from hydracalc.errors import DataError

UNKNOWN = "Og"  # no dataset has it


def test_an_unknown_branch_is_answered_with_the_branches(model_name):
    with pytest.raises(ValueError, match="unknown branch 'nowhere'") as raised:
        HydraCalculator(model_name, branch="nowhere")
    for branch in HydraCalculator(model_name).branches:
        assert branch in str(raised.value)


def test_an_unknown_element_is_answered_with_who_knows_what(model_name):
    calc = HydraCalculator(model_name)
    for branch in (calc.parameters["branch"], *calc.branches):
        with pytest.raises(ValueError, match=UNKNOWN):
            calc.with_branch(branch).get_potential_energy(Atoms(UNKNOWN))


def test_a_branch_never_answers_for_elements_it_has_not_seen(model_name):
    calc = HydraCalculator(model_name)
    for branch in calc.branches:
        alone = calc.with_branch(branch)
        if 14 not in alone.allowed_atomic_numbers:
            with pytest.raises(ValueError, match="does not know Si"):
                alone.evaluate([bulk("Si")])


def test_info_of_the_charge_is_followed(model_name):
    calc = HydraCalculator(model_name)
    atoms = molecule("H2O")
    atoms.calc = calc
    atoms.get_potential_energy()
    atoms.info["note"] = "x"
    assert calc.check_state(atoms) == []
    atoms.info["charge"] = 1
    assert calc.check_state(atoms) == ["info"]


def test_a_model_file_holds_no_pickle(model_name):
    content = registry.resolve(model_name).read_bytes()
    with pytest.raises((ValueError, UnicodeDecodeError, IndexError)):
        list(pickletools.genops(content))


@pytest.mark.parametrize("damage", ["flipped", "half"])
def test_a_touched_model_file_is_not_used(model_name, tmp_path, damage):
    path = tmp_path / "touched.safetensors"
    shutil.copyfile(registry.resolve(model_name), path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    with pytest.raises(DataError, match="touched"):
        HydraCalculator(path)

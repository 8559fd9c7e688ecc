"""Errors are those of the labels, and what is left out is counted."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from builders import make_model, rattled

from hydracalc.inputs import as_structure
from hydracalc.predictor import InferenceConfig, Predictor
from hydracalc.validation.evaluation import OWN, ErrorSum, evaluate, table


@pytest.fixture(scope="module")
def shared():
    return make_model().requires_grad_(False)


def labelled(model, atoms, *, branch, energy=0.0, forces=0.0, stress=0.0):
    """A structure whose labels are predictions that were shifted by known errors."""
    structure = as_structure(atoms)
    found = Predictor(model, InferenceConfig(branch=branch)).predict([structure])[0]
    return replace(
        structure,
        branch=branch,
        energy=found.energy - energy * structure.num_atoms,
        forces=found.forces - forces,
        stress=None if found.stress is None else found.stress - stress,
    )


def test_known_errors_are_found(shared):
    structures = [
        labelled(shared, molecule("CH3OH"), branch="general", energy=0.01, forces=0.2),
        labelled(shared, rattled(bulk("Si")), branch="general", energy=-0.03, stress=0.5),
    ]
    found = evaluate(shared, structures, branch="general").to_json()["branches"]["general"]
    assert found["num_structures"] == 2
    assert found["num_atoms"] == 8
    assert found["energy_mae_eV_per_atom"] == pytest.approx(0.02)
    assert found["energy_rmse_eV_per_atom"] == pytest.approx(np.sqrt((0.01**2 + 0.03**2) / 2))
    assert found["force_mae_eV_per_A"] == pytest.approx(0.2 * 6 / 8)
    assert found["stress_mae_eV_per_A3"] == pytest.approx(0.5)
    assert list(found["by_element"]) == ["H", "C", "O", "Si"]
    assert found["by_element"]["H"]["num_atoms"] == 4
    assert found["by_element"]["O"]["force_mae_eV_per_A"] == pytest.approx(0.2)
    assert found["by_element"]["Si"]["force_mae_eV_per_A"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("max_atoms", [1, 10, 1000])
def test_batches_do_not_change_the_errors(shared, max_atoms):
    structures = [
        labelled(shared, rattled(molecule("CH3OH"), seed), branch="organic", energy=0.01 * seed)
        for seed in range(4)
    ]
    found = evaluate(shared, structures, branch="organic", max_atoms=max_atoms)
    assert found.branches["organic"].energy.mae == pytest.approx(0.015)
    assert found.branches["organic"].num_structures == 4


def test_each_structure_by_its_own_branch(shared):
    structures = [
        labelled(shared, molecule("CH3OH"), branch="organic", energy=0.5),
        labelled(shared, molecule("CH3OH"), branch="general", energy=0.25),
    ]
    found = evaluate(shared, structures, branch=OWN)
    assert found.branches["organic"].energy.mae == pytest.approx(0.5)
    assert found.branches["general"].energy.mae == pytest.approx(0.25)
    with pytest.raises(ValueError, match="unknown branch 'ani9x'"):
        evaluate(shared, [replace(structures[0], branch="ani9x")], branch=OWN)


def test_a_mixture_is_named_by_its_weights(shared):
    structure = labelled(shared, molecule("CH3OH"), branch="organic")
    found = evaluate(shared, [structure], branch={"organic": 0.25, "general": 0.75})
    assert list(found.branches) == ["organic=0.25,general=0.75"]
    assert list(evaluate(shared, [structure]).branches) == ["auto"]


def test_what_is_left_out_is_counted_by_reason(shared):
    unlabelled = as_structure(molecule("CH3OH"))
    mixed = replace(as_structure(Atoms("NSi", [[0, 0, 0], [0, 0, 2]])), energy=-1.0)
    silicon = replace(as_structure(bulk("Si")), energy=-1.0)
    whole = labelled(shared, molecule("CH3OH"), branch="organic")
    found = evaluate(shared, [unlabelled, silicon, silicon, whole], branch="organic")
    assert found.left_out == {"no energy label": 1, "unknown to the branch: Si": 2}
    assert found.branches["organic"].num_structures == 1
    assert evaluate(shared, [mixed]).left_out == {"no branch knows all of its elements": 1}


def test_structures_without_forces_count_for_energy_alone(shared):
    structure = replace(labelled(shared, molecule("CH3OH"), branch="organic"), forces=None)
    found = evaluate(shared, [structure], branch="organic").to_json()["branches"]["organic"]
    assert "energy_mae_eV_per_atom" in found
    assert "force_mae_eV_per_A" not in found
    assert found["by_element"] == {}


def test_labels_and_predictions_are_kept_where_asked(shared):
    structure = labelled(shared, molecule("CH3OH"), branch="organic", forces=0.2)
    report = evaluate(shared, [structure], branch="organic", keep_pairs=True)
    (pair,) = report.branches["organic"].pairs["forces"]
    np.testing.assert_allclose(pair[1] - pair[0], 0.2)
    assert not evaluate(shared, [structure], branch="organic").branches["organic"].pairs


def test_the_table_has_units_and_reasons(shared):
    structures = [
        labelled(shared, molecule("CH3OH"), branch="organic", energy=0.0123),
        as_structure(molecule("CH3OH")),
    ]
    text = "\n".join(table(evaluate(shared, structures, branch="organic")))
    assert "branch organic: 1 structures, 6 atoms" in text
    assert "12.300" in text
    assert "meV/atom" in text
    assert "left out 1: no energy label" in text


def test_sums_are_divided_once():
    """Ten small errors and one large in two parts give the mean of eleven, not of two means."""
    errors = ErrorSum()
    errors.add(np.ones(10))
    errors.add(np.array([-12.0]))
    assert errors.mae == pytest.approx(2)
    assert errors.rmse == pytest.approx(np.sqrt(154 / 11))
    assert np.isnan(ErrorSum().mae)

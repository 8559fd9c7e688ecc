"""Errors are those of the labels, and what is left out is counted."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from builders import make_model, rattled

from hydracalc.inputs import as_structure
from hydracalc.predictor import InferenceConfig, Predictor
from hydracalc.validation.evaluation import OWN, evaluate
from hydracalc.validation.evaluation_table import breakdowns, table


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


def mae(report, branch):
    return report.to_json()["branches"][branch]["energy_mae_eV_per_atom"]


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
    assert mae(found, "organic") == pytest.approx(0.015)
    assert found.branches["organic"].num_structures == 4


def test_each_structure_by_its_own_branch(shared):
    structures = [
        labelled(shared, molecule("CH3OH"), branch="organic", energy=0.5),
        labelled(shared, molecule("CH3OH"), branch="general", energy=0.25),
    ]
    found = evaluate(shared, structures, branch=OWN)
    assert mae(found, "organic") == pytest.approx(0.5)
    assert mae(found, "general") == pytest.approx(0.25)
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
    assert found["by_element"]["C"]["num_atoms"] == 0
    assert "force_mae_eV_per_A" not in found["by_element"]["C"]
    assert found["force_cosine"] is None
    assert found["worst"]["forces"] == []


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


def test_the_table_tells_the_breakdowns_that_are_asked_for(shared):
    report = evaluate(shared, [labelled(shared, molecule("CH3OH"), branch="organic")], branch=OWN)
    text = "\n".join(table(report, ("size", "force")))
    assert "structures of 5-8 atoms (6 atoms)" in text
    assert "eV/Angstrom (" in text
    assert "forces on" not in text
    assert breakdowns("element, size") == ("element", "size")
    assert breakdowns("") == ()
    with pytest.raises(ValueError, match="did you mean 'element'"):
        breakdowns("elemnt")


def test_an_energy_error_counts_for_every_element_of_the_structure(shared):
    structures = [
        labelled(shared, molecule("CH4"), branch="organic", energy=0.01),
        labelled(shared, molecule("CH3OH"), branch="organic", energy=-0.03),
    ]
    found = evaluate(shared, structures, branch=OWN).to_json()["branches"]["organic"]
    assert found["by_element"]["C"]["energy_mae_eV_per_atom"] == pytest.approx(0.02)
    assert found["by_element"]["O"]["energy_mae_eV_per_atom"] == pytest.approx(0.03)
    assert found["by_element"]["O"]["num_structures"] == 1
    assert found["by_size"]["5-8"]["num_structures"] == 2
    assert found["energy_bias_eV_per_atom"] == pytest.approx(-0.01)
    quantiles = found["energy_error_quantiles_eV_per_atom"]
    assert quantiles["p50"] == pytest.approx(0.02)
    assert quantiles["max"] == pytest.approx(0.03)


def test_force_errors_are_told_by_the_length_of_the_label(shared):
    """Labels far from predictions: every atom's own label decides its range, and all are there."""
    structure = labelled(shared, rattled(molecule("CH3OH")), branch="organic")
    small = replace(structure, forces=np.full((6, 3), 0.01))
    large = replace(structure, forces=np.full((6, 3), 5.0))
    found = evaluate(shared, [small, large], branch=OWN).to_json()["branches"]["organic"]
    assert set(found["by_force"]) == {"0-0.1", "3-10"}
    assert found["by_force"]["0-0.1"]["num_atoms"] == 6
    predicted = structure.forces
    assert found["by_force"]["3-10"]["force_mae_eV_per_A"] == pytest.approx(
        np.abs(predicted - 5.0).mean()
    )


def test_the_cosine_is_of_directions_alone(shared):
    """Labels along the predictions have cosine 1 whatever their length, opposite ones -1."""
    structure = labelled(shared, rattled(molecule("CH3OH")), branch="organic")
    for factor, cosine in ((3.0, 1.0), (-0.5, -1.0)):
        scaled = replace(structure, forces=factor * structure.forces)
        found = evaluate(shared, [scaled], branch=OWN).to_json()["branches"]["organic"]
        assert found["force_cosine"]["mean"] == pytest.approx(cosine)
        means = [group["force_cosine_mean"] for group in found["by_force"].values()]
        assert means == pytest.approx([cosine] * len(means))
    faint = replace(structure, forces=np.full((6, 3), 1e-3))
    found = evaluate(shared, [faint], branch=OWN).branches["organic"]
    assert found.cosine_json() is None
    assert found.num_faint == 6


def test_the_worst_structures_are_named(shared):
    structures = [
        replace(
            labelled(shared, rattled(molecule("CH3OH"), k), branch="organic", energy=0.01 * k),
            source=f"m{k}",
        )
        for k in range(14)
    ]
    structures[3] = replace(
        structures[3], forces=structures[3].forces + np.eye(6)[:, [2]] * np.array([3.0, 0, 4.0])
    )
    found = evaluate(shared, structures, branch=OWN, max_atoms=12)
    worst = found.to_json()["branches"]["organic"]["worst"]
    assert [each["source"] for each in worst["energy"]] == [f"m{k}" for k in range(13, 3, -1)]
    assert worst["energy"][0]["index"] == 13
    assert worst["energy"][0]["error"] == pytest.approx(0.13)
    assert worst["forces"][0]["source"] == "m3"
    assert worst["forces"][0]["atom"] == 2
    assert worst["forces"][0]["error"] == pytest.approx(5.0)
    assert worst["forces"][0]["formula"] == "H4CO"


def test_a_structure_that_cannot_be_predicted_spoils_no_other(shared):
    whole = labelled(shared, molecule("CH3OH"), branch="organic", energy=0.02)
    fused = replace(
        as_structure(Atoms("CO", [[0, 0, 0], [0, 0, 0]])), energy=-1.0, source="x", branch="organic"
    )
    empty = replace(as_structure(Atoms("H")), energy=-1.0)
    empty = replace(empty, atomic_numbers=np.zeros(0, dtype=np.int64), positions=np.zeros((0, 3)))
    found = evaluate(shared, [whole, fused, whole, empty], branch="organic")
    assert found.branches["organic"].num_structures == 2
    assert mae(found, "organic") == pytest.approx(0.02)
    assert found.left_out == {
        "no prediction: atoms C0 and O1 are at the same place": 1,
        "no atoms": 1,
    }

"""Errors on a set are those of `evaluate`, beside baselines that need no model."""

import numpy as np
import pytest

from hydracalc.assessment.label_errors import measure_set
from hydracalc.assessment.subsets import gather
from hydracalc.registry import load_model
from hydracalc.validation.evaluation import evaluate


@pytest.fixture(scope="module")
def model(model_file):
    return load_model(model_file)


@pytest.fixture(scope="module")
def random_frames(shards):
    return gather(shards)[0][0]


def test_every_choice_is_what_evaluation_says(model, random_frames):
    found = measure_set(model, random_frames)
    assert set(found.choices) == {"own", "mptrj", "mattersim", "auto"}
    assert found.choices["own"] == found.choices["mptrj"]
    for name, row in found.choices.items():
        report = evaluate(model, random_frames.structures, branch=name).to_json()
        (errors,) = report["branches"].values()
        assert row.force_mae_eV_per_A == errors["force_mae_eV_per_A"]
        assert row.energy_mae_eV_per_atom == errors["energy_mae_eV_per_atom"]
    best = min(("mptrj", "mattersim"), key=lambda n: found.choices[n].force_mae_eV_per_A)
    assert found.best == best


def test_baselines_are_those_of_no_force_and_of_references(model, random_frames):
    found = measure_set(model, random_frames)
    forces = np.concatenate([each.forces.ravel() for each in random_frames.structures])
    assert found.zero_force_eV_per_A == pytest.approx(np.abs(forces).mean())
    references = model.branch_specs[0].references
    expected = [
        abs(each.energy - references.baseline(each.atomic_numbers)) / each.num_atoms
        for each in random_frames.structures
    ]
    assert found.references_alone_eV_per_atom == pytest.approx(np.mean(expected))


def test_elements_add_up_to_the_whole(model, random_frames):
    found = measure_set(model, random_frames)
    rows = found.by_element.values()
    assert set(found.by_element) == {"H", "O"}
    atoms = sum(row["num_atoms"] for row in rows)
    assert atoms == sum(each.num_atoms for each in random_frames.structures)
    total = sum(row["num_atoms"] * row["force_mae_eV_per_A"] for row in rows) / atoms
    assert total == pytest.approx(found.choices["own"].force_mae_eV_per_A)

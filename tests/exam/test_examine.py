"""Sound calculators pass; what cannot be tested is not applicable, with the reason."""

import json

import numpy as np
import pytest
import subjects
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms

from hydracalc.exam.examine import ITEMS, ExamConfig, examine
from hydracalc.exam.findings import FAILED, NOT_APPLICABLE, PASSED, Measurement

NEEDS_MODEL = ["batching"]


@pytest.mark.parametrize("sound", [subjects.Sound, subjects.Single])
def test_a_sound_calculator_passes_in_either_precision(run, sound):
    """Dynamics of it are in test_drift.py."""
    result = run(sound(), without=["nve"])
    assert result.names(FAILED) == []
    assert result.names(NOT_APPLICABLE) == NEEDS_MODEL
    assert result.precision == ("float64" if sound is subjects.Sound else "float32")
    assert [item.name for item in result.items] == [item for item in ITEMS if item != "nve"]
    assert json.loads(json.dumps(result.to_dict()))["passed"]


def test_argon_of_ase_passes():
    """Lennard-Jones with a smooth end, in argon's units."""
    rng = np.random.default_rng(0)
    crystal = bulk("Ar", "fcc", a=5.3, cubic=True)
    cluster = Atoms("Ar4", crystal.positions[:4])
    for atoms in (crystal, cluster):
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    calculator = LennardJones(sigma=3.4, epsilon=0.0103, rc=7.5, smooth=True)
    result = examine(calculator, ExamConfig(structures=[cluster, crystal]))
    assert result.names(FAILED) == []
    assert result.names(NOT_APPLICABLE) == NEEDS_MODEL


def test_emt_passes_all_but_its_pairs():
    """Pairs have a step at its cutoff, see test_paths.py; in matter it is below the mark."""
    items = [item for item in ITEMS if item != "dimers"]
    crystal, cluster = bulk("Cu", cubic=True), molecule("H2COH")
    crystal.rattle(0.05, rng=np.random.default_rng(0))
    result = examine(EMT(), ExamConfig(items=items, structures=[crystal, cluster]))
    assert result.names(FAILED) == []
    assert result.names(NOT_APPLICABLE) == NEEDS_MODEL


def test_noise_fails_the_marks_of_float32(failed):
    assert {"forces", "dimers"} < failed(subjects.Noisy())


def test_a_calculator_of_molecules_is_not_failed_for_crystals(run):
    result = run(subjects.Molecular(), without=["nve"])
    assert result.names(FAILED) == []
    assert result.names(NOT_APPLICABLE) == ["stress", "batching", "cutoff"]
    assert result.left_out == {
        name: "the calculator raised NotImplementedError: molecules only"
        for name in ("1: Ar7Ne", "2: Ar7Ne")
    }


def test_what_needs_forces_is_not_applicable_without_them(run):
    result = run(subjects.NoForces())
    reasons = {item.name: item.reason for item in result.items if not item.measurements}
    assert set(reasons) == {"forces", "stress", "jacobian", "batching", "nve"}
    assert "the calculator has no forces" in reasons["forces"]
    assert "the calculator has no stress" in reasons["stress"]
    assert result.names(FAILED) == []


def test_a_symmetry_is_examined_by_energy_alone_where_there_are_no_forces(run):
    class Unforced(subjects.Upright):
        implemented_properties = ["energy"]

    assert run(Unforced(), only=["rotation"]).names(FAILED) == ["rotation"]


def test_a_crash_at_one_structure_is_told_and_others_are_examined(run):
    class NoSupercells(subjects.Sound):
        def calculate(self, atoms=None, properties=("energy",), system_changes=()):
            if len(atoms) > 20:
                raise MemoryError("too large\nsecond line")
            super().calculate(atoms, properties, system_changes)

    (item,) = run(NoSupercells(), only=["extensivity"]).items
    assert item.verdict == PASSED
    assert "1: Ar7Ne, 2: Ar7Ne: the calculator raised MemoryError: too large" in item.reason
    assert "second line" not in item.reason


def test_constraints_of_structures_hide_nothing(structures):
    fixed = structures[0]
    fixed.set_constraint(FixAtoms(range(len(fixed))))
    result = examine(subjects.Scaled(), ExamConfig(items=["forces"], structures=[fixed]))
    assert result.names(FAILED) == ["forces"]
    assert len(fixed.constraints) == 1


def test_charges_of_structures_reach_a_calculator_that_is_made_for_them(structures):
    asked = []

    def make(structure):
        asked.append(structure.total_charge)
        return subjects.Sound()

    structures[0].info["charge"] = -1
    config = ExamConfig(items=["permutation"], structures=structures)
    assert examine(make, config).passed
    assert set(asked) == {-1, 0}


def test_the_result_is_json_without_what_json_has_no_number_for(run):
    class Lost(subjects.Sound):
        def well(self, edges):
            well, slope = super().well(edges)
            return np.where(edges.lengths < 0.5, np.nan, well), slope

    found = json.loads(json.dumps(run(Lost(), only=["collision"]).to_dict(), allow_nan=False))
    (item,) = found["items"]
    assert not found["passed"]
    assert item["verdict"] == FAILED
    assert item["measurements"][0]["value"] is None
    assert not item["measurements"][0]["passes"]


def test_a_number_that_is_none_never_passes():
    about = {"quantity": "q", "unit": "eV", "why": "w", "where": "x"}
    for at_least in (False, True):
        for value in (np.nan, np.inf, -np.inf):
            measured = Measurement(value=value, mark=1.0, at_least=at_least, **about)
            assert not measured.passes
            assert measured.badness == np.inf
    assert Measurement(value=1.0, mark=1.0, **about).passes
    assert not Measurement(value=0.0, mark=0.0, at_least=True, **about).passes


def test_an_unknown_item_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="did you mean 'stress'"):
        ExamConfig(items=["strss"])
    with pytest.raises(ValueError, match="items are empty"):
        ExamConfig(items=[])

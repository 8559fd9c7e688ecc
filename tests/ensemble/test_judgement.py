"""Intervals beside predictions, and one warning when atoms leave the calibrated range."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.md.verlet import VelocityVerlet
from builders import make_model, rattled
from ensembles import drawn

from hydracalc.ensemble.calibration import calibrate
from hydracalc.ensemble.judgement import Judge, OutsideCalibration
from hydracalc.ensemble.members import Members
from hydracalc.ensemble_calculator import HydraEnsemble


@pytest.fixture
def calculator(tmp_path, monkeypatch):
    """Makes an ensemble that is calibrated in a given range of silicon's spread."""
    models = tuple(make_model(seed=seed) for seed in range(2))

    def make(ranges):
        made = replace(calibrate(drawn(100, 0)), force_range=ranges)
        loaded = Members(models=models, sha256="0", calibrations={"general": made})
        calc = HydraEnsemble.__new__(HydraEnsemble)
        settings = {"model": "x", "branch": "general", "device": "cpu", "dtype": "float64"}
        settings |= {"reference": "total", "forces": "conservative", "skin": 0.5}
        calc._start(loaded, settings | {"compile": False, "uncertainty": "ensemble"})
        return calc

    return make


def test_intervals_are_the_calibrations_at_the_spread_of_the_members(calculator):
    calc = calculator({14: np.inf})
    atoms = rattled(bulk("Si", cubic=True), 1)
    calc.calculate(atoms)
    found = calc.extras["uncertainty"]
    made = calc._judge.calibration
    spreads = np.linalg.norm(found["forces"], axis=1)
    for level, interval in found["intervals"].items():
        np.testing.assert_allclose(interval["forces"], made.force.half_widths(spreads)[level])
        half = made.energy.half_widths(np.array([found["energy_per_atom"]]))[level][0]
        assert interval["energy_per_atom"] == pytest.approx(half)
        assert interval["energy"] == pytest.approx(8 * half)
        assert interval["force_components"].shape == (8,)
    assert list(found["intervals"]) == [0.5, 0.8, 0.9, 0.95]
    assert len(found["atoms_outside"]) == 0


def test_dynamics_warn_once_and_name_the_atoms(calculator):
    """Atom 5 is pushed until its spread is beyond what was calibrated; others are not."""
    atoms = rattled(bulk("Si", cubic=True), 1)
    free = calculator({14: np.inf})
    free.calculate(atoms)
    limit = 1.05 * np.linalg.norm(free.extras["uncertainty"]["forces"], axis=1).max()
    atoms.calc = calculator({14: float(limit)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.get_forces()
    atoms.positions[5] += [0.7, 0.5, 0.0]
    dynamics = VelocityVerlet(atoms, 0.1 * units.fs)
    with pytest.warns(OutsideCalibration) as caught:
        dynamics.run(5)
    assert len(caught) == 1
    outside = atoms.calc.extras["uncertainty"]["atoms_outside"]
    assert len(outside)
    text = str(caught[0].message)
    spreads = np.linalg.norm(atoms.calc.extras["uncertainty"]["forces"], axis=1)
    assert f"{int(np.argmax(spreads))} Si (" in text
    assert f"calibrated up to {limit:.3g})" in text


def test_an_element_that_was_not_calibrated_with_is_named(calculator):
    atoms = rattled(bulk("NaCl", "rocksalt", a=5.6), 1)
    atoms.calc = calculator({11: np.inf})
    with pytest.warns(OutsideCalibration, match=r"1 Cl \(element not calibrated with\)"):
        atoms.get_forces()
    atoms.calc = calculator({11: np.inf})
    assert list(atoms.calc.get_uncertainty(atoms)["atoms_outside"]) == [1]  # asked for: no warning


def test_another_structure_is_warned_of_anew(calculator):
    calc = calculator({})
    with pytest.warns(OutsideCalibration):
        calc.calculate(bulk("Si"))
    with pytest.warns(OutsideCalibration, match="8 and|Na"):
        calc.calculate(bulk("NaCl", "rocksalt", a=5.6))


def test_many_atoms_are_named_in_part_the_worst_first(calculator):
    atoms = rattled(bulk("Si", cubic=True) * (2, 1, 1), 1)
    calc = calculator({14: 0.0})
    with pytest.warns(OutsideCalibration, match="and 8 more; their intervals are too narrow"):
        calc.calculate(atoms)
    assert len(calc.extras["uncertainty"]["atoms_outside"]) == 16


def test_a_calibration_of_another_kind_of_spread_is_not_used():
    made = calibrate(drawn(100, 0))
    assert Judge({"general": made}, "general", of_members=True).calibration is made
    assert Judge({"general": made}, "general", of_members=False).calibration is None
    assert Judge({"general": made}, "organic", of_members=True).calibration is None


def test_a_single_model_has_intervals_by_element():
    """Its branches' spread where energies were calibrated with it; else without any spread."""
    made = calibrate(drawn(100, 0, ensemble=False))
    loaded = Members(models=(make_model(),), sha256="0", calibrations={"organic": made})
    calc = HydraEnsemble.__new__(HydraEnsemble)
    settings = {"model": "x", "branch": "organic", "device": "cpu", "dtype": "float64"}
    settings |= {"reference": "total", "forces": "conservative", "skin": 0.5, "compile": False}
    calc._start(loaded, settings | {"uncertainty": "branches"})
    calc.calculate(molecule("CH3OH"))
    found = calc.extras["uncertainty"]
    assert found["num_branches"] == 2
    widths = found["intervals"][0.9]["forces"]
    assert widths[1] > widths[0] > widths[2]  # O, C, H
    twin = calc.get_uncertainty(molecule("CH3OH"))
    np.testing.assert_allclose(twin["intervals"][0.9]["forces"], widths)

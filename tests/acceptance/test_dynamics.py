"""The shipped model holds a molecule and a crystal together at room temperature."""

import numpy as np
import pytest
from ase.build import bulk, molecule

from hydracalc import registry
from hydracalc.calculator import HydraCalculator
from hydracalc.simulation import MDConfig, run_md

SHIPPED = [model.name for model in registry.list_models()]


@pytest.fixture(params=SHIPPED)
def shipped(request):
    return HydraCalculator(request.param)


def test_a_model_is_shipped():
    assert SHIPPED


@pytest.mark.slow
def test_ethanol_keeps_its_bonds(shipped):
    atoms = molecule("CH3CH2OH")
    atoms.calc = shipped
    bonded = atoms.get_all_distances() < 1.6
    report = run_md(atoms, MDConfig(ensemble="nvt", timestep=0.5, steps=2000, log_every=20))
    stretch = atoms.get_all_distances()[bonded].max()
    assert stretch < 1.9
    assert 120 < report.mean_temperature_K < 600
    assert abs(report.drift_meV_per_atom_per_ps) < 5


@pytest.mark.slow
def test_silicon_stays_a_crystal(shipped):
    atoms = bulk("Si", cubic=True) * (2, 2, 2)
    sites = atoms.positions.copy()
    atoms.calc = shipped
    report = run_md(atoms, MDConfig(ensemble="nvt", timestep=1.0, steps=600, log_every=20))
    assert np.abs(atoms.positions - sites).max() < 1.2
    assert 100 < report.mean_temperature_K < 500
    assert abs(report.drift_meV_per_atom_per_ps) < 5

"""The labels of the real slices obey physics: forces and stress are derivatives of the energies."""

from dataclasses import replace

import ase.units
import pytest

from hydracalc.ingest.catalog import list_datasets, load_adapter
from hydracalc.ingest.physics import ch_stretch_constant, energy_against_work

FOLDERS = list_datasets()

# dataset: where, largest displacement in A, tolerance of the slope
PAIRS = {
    "ani1x": ("slice", 0.3, 0.12),
    "qm7x": ("sample", 0.2, 0.03),
    "mptrj": ("slice", 0.1, 0.02),
    "rmd17": ("sample", 0.3, 0.05),
    "mattersim": ("slice", 0.1, 0.03),
}
# C-H bonds on reaction paths are relaxed rather than stretched, which makes them seem softer
STRETCH = {"ani1x": (28, 36), "qm7x": (28, 36), "rmd17": (28, 36), "transition1x": (8, 36)}


def read(name, kind):
    return list(load_adapter(name).read(FOLDERS[name] / kind))


@pytest.mark.parametrize("name", PAIRS)
def test_forces_and_stress_are_the_derivative_of_the_energy(name):
    kind, max_displacement, tolerance = PAIRS[name]
    result = energy_against_work(read(name, kind), max_displacement=max_displacement)
    assert result.num_points >= 10
    assert result.slope == pytest.approx(1, abs=tolerance)
    assert result.correlation > 0.97


@pytest.mark.parametrize("name", STRETCH)
def test_ch_bonds_have_the_force_constant_of_ch_bonds(name, sample):
    low, high = STRETCH[name]
    assert low < ch_stretch_constant(sample(name)) < high


@pytest.mark.parametrize("factor", [-1, 10, 0.1])
def test_a_wrong_stress_of_real_crystals_is_caught(factor):
    """In the trajectories of MPtrj cells change: they decide on sign and unit of the stress."""
    wrong = [replace(s, stress=s.stress * factor) for s in read("mptrj", "slice")]
    result = energy_against_work(wrong, max_displacement=0.1)
    assert not (abs(result.slope - 1) < 0.2 and result.correlation > 0.97)


@pytest.mark.parametrize("factor", [-1, 1 / ase.units.Bohr, 1 / ase.units.Hartree])
def test_wrong_forces_of_real_molecules_are_caught(factor, sample):
    wrong = [replace(s, forces=s.forces * factor) for s in sample("ani1x")]
    assert not 25 < ch_stretch_constant(wrong) < 40


def test_snapshots_at_high_pressure_are_compressed(sample):
    """Under pressure the energy falls on expansion: the stress is negative."""
    stresses = [s.stress.trace() for s in sample("mattersim")]
    assert sum(stress < 0 for stress in stresses) > 0.9 * len(stresses)

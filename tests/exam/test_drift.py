"""Dynamics without a thermostat keep the energy of forces that have one, and only of those."""

import numpy as np
import pytest
import subjects
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes

from hydracalc.exam.drift import shortest_period
from hydracalc.exam.examine import ExamConfig, examine


def test_energy_is_kept_and_drawn(run):
    result = run(subjects.Sound(), only=["nve"])
    assert result.passed
    drift = result.items[0].measurements[0]
    assert drift.value < 0.01
    molecule, crystal = result.curves
    assert len(molecule.x) == len(molecule.y) == 250
    assert np.ptp(crystal.y) < 1  # meV/atom
    assert "slab" not in drift.where
    assert list(result.items[0].left_out.values()) == [
        "only the first molecule and the first crystal move"
    ]


def test_forces_without_an_energy_heat(structures):
    config = ExamConfig(items=["nve"], structures=structures[:1])
    result = examine(subjects.Curl(), config)
    assert not result.passed
    drift = result.items[0].measurements[0]
    assert drift.value > 5 * drift.mark


def test_drift_that_break_off_fail(run):
    class Tired(subjects.Sound):
        calls = 0

        def calculate(self, *given):
            self.calls += 1
            if self.calls > 300:
                raise RuntimeError("no more")
            super().calculate(*given)

    (item,) = run(Tired(), only=["nve"]).items
    assert item.verdict == "failed"
    assert "broken off: RuntimeError: no more" in item.measurements[0].where


def test_a_single_atom_does_not_move(structures):
    config = ExamConfig(items=["nve"], structures=[structures[0][:1]])
    (item,) = examine(subjects.Sound(), config).items
    assert item.verdict == "not applicable"
    assert item.reason == "0: Ne: a single atom"


@pytest.mark.parametrize("stiffness", [1.0, 25.0])
def test_theshortest_period_is_that_of_a_spring(stiffness):
    """Of two equal masses m on a spring k: 2 pi sqrt(m / 2k)."""

    class Spring(Calculator):
        implemented_properties = ["energy", "forces"]

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            bond = self.atoms.positions[1] - self.atoms.positions[0]
            length = np.linalg.norm(bond)
            pull = stiffness * (length - 1) * bond / length
            self.results = {
                "energy": stiffness * (length - 1) ** 2 / 2,
                "forces": np.array([pull, -pull]),
            }

    atoms = Atoms("O2", [[0, 0, 0], [1, 0, 0]], calculator=Spring())
    expected = 2 * np.pi * np.sqrt(atoms.get_masses()[0] / (2 * stiffness)) / units.fs
    assert shortest_period(atoms) == pytest.approx(expected, rel=1e-2)

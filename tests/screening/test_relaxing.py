"""Structures that are relaxed together come to the minima that ASE's FIRE finds for each alone."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

from hydracalc.calculator import HydraCalculator
from hydracalc.screening.columns import REASONS
from hydracalc.screening.piece_work import ModelChoice, ScreenConfig
from hydracalc.screening.results import open_results
from hydracalc.screening.screen import screen_structures
from hydracalc.simulation import RelaxConfig

CHOICE = ModelChoice(model="mtl-all", device="cpu", dtype="float64")


def structures():
    rng = np.random.default_rng(0)
    found = [bulk("Si", cubic=True), molecule("CH3OH"), bulk("NaCl", "rocksalt", a=5.7)]
    found += [molecule("NH3"), bulk("Cu", cubic=True)]
    for atoms in found:
        atoms.rattle(0.06, rng=rng)
    return found


def one_by_one(atoms, config):
    atoms = atoms.copy()
    atoms.calc = HydraCalculator("mtl-all", device="cpu", dtype="float64")
    optimizer = FIRE(atoms if config.cell == "none" else FrechetCellFilter(atoms), logfile=None)
    converged = optimizer.run(fmax=config.fmax, steps=config.steps)
    return atoms, converged, optimizer.nsteps


def check(given, relax, results):
    for row, atoms in enumerate(given):
        expected, converged, steps = one_by_one(atoms, relax)
        (found,) = results.structures([row])
        assert bool(results["converged"][row]) == bool(converged)
        assert results["steps"][row] == steps
        energy = expected.get_potential_energy()
        assert results["energy"][row] == pytest.approx(energy, abs=1e-6 * len(atoms))
        assert found.energy == results["energy"][row]
        np.testing.assert_allclose(found.positions, expected.positions, atol=1e-5)
        np.testing.assert_allclose(found.cell, expected.cell.array, atol=1e-5)
        atoms.calc = expected.calc
        start = atoms.get_potential_energy()
        assert results["energy_start"][row] == pytest.approx(start, abs=1e-9)


@pytest.mark.parametrize("max_atoms", [14, 1000])
def test_atoms_come_to_the_same_minimum_in_the_same_steps(tmp_path, max_atoms):
    """With 14 atoms at a time, structures take the places of those that are at rest."""
    relax = RelaxConfig(fmax=0.05, steps=200)
    config = ScreenConfig(relax=relax, max_atoms=max_atoms)
    report = screen_structures(structures(), tmp_path / "out", CHOICE, config=config)
    assert report.counts == {"predicted": 5}
    results = open_results(tmp_path / "out")
    assert len(set(results["steps"])) > 2  # they leave at different times
    assert (results["max_force"][results["converged"] == 1] < 0.05).all()
    check(structures(), relax, results)


def test_cells_relax_along_and_what_has_none_says_so(tmp_path):
    given, relax = structures(), RelaxConfig(fmax=0.05, steps=40, cell="frechet")
    config = ScreenConfig(relax=relax)
    screen_structures(given, tmp_path / "out", CHOICE, config=config)
    results = open_results(tmp_path / "out")
    is_crystal = [bool(atoms.pbc.any()) for atoms in given]
    reasons = [REASONS[status] for status in results["status"]]
    assert reasons == ["predicted" if each else "refused" for each in is_crystal]
    assert "cannot be relaxed" in results.text("message")[1]
    for row in np.flatnonzero(is_crystal):
        expected, converged, steps = one_by_one(given[row], relax)
        (found,) = results.structures([row])
        assert (bool(results["converged"][row]), results["steps"][row]) == (converged, steps)
        assert found.energy == pytest.approx(expected.get_potential_energy(), abs=1e-5)
        np.testing.assert_allclose(found.cell, expected.cell.array, atol=1e-4)
        assert not np.allclose(found.cell, given[row].cell.array)


def test_steps_are_limited_and_collisions_named(tmp_path):
    water, collided = molecule("H2O"), molecule("H2")
    water.rattle(0.1, rng=np.random.default_rng(0))
    collided.positions[:] = 0
    config = ScreenConfig(relax=RelaxConfig(fmax=1e-6, steps=3))
    screen_structures([collided, water], tmp_path / "out", CHOICE, config=config)
    results = open_results(tmp_path / "out")
    assert [REASONS[status] for status in results["status"]] == ["colliding atoms", "predicted"]
    assert (results["steps"][1], results["converged"][1]) == (3, 0)
    assert results["energy"][1] < results["energy_start"][1]

"""Steps of dynamics are real ones, and the exponent is that of the times."""

import numpy as np
import pytest
import torch
from ase import units

from hydracalc.benchmark import steps, systems
from hydracalc.calculator import HydraCalculator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def calculator(small_model):
    return HydraCalculator(small_model)


@pytest.mark.parametrize("power", [1.0, 1.05, 2.0])
def test_the_exponent_is_found_in_times_that_follow_one(power):
    sizes = np.array([64, 216, 512, 1000, 4096, 10000])
    times = 0.03 * sizes**power
    times[0] += 40  # a small structure has a cost of its own and is not looked at
    assert steps.exponent(sizes, times) == pytest.approx(power, abs=1e-9)
    assert steps.exponent(sizes, times, above=1) < power


def test_noise_moves_the_exponent_little():
    rng = np.random.default_rng(0)
    sizes = np.array([216, 512, 1000, 4096, 10000])
    times = 0.1 * sizes * np.exp(rng.normal(0, 0.02, 5))
    assert steps.exponent(sizes, times) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("sizes", [[], [512], [512, 512], [12, 64, 512]])
def test_an_exponent_needs_two_sizes(sizes):
    with pytest.raises(ValueError, match="needs two sizes from 200 atoms on"):
        steps.exponent(sizes, [1.0] * len(sizes))


def test_a_motion_takes_one_step_of_its_own_copy(calculator):
    system = systems.benzene()
    start = system.atoms.positions.copy()
    motion = steps.Motion(system, calculator)
    motion()
    np.testing.assert_array_equal(system.atoms.positions, start)
    moved = np.abs(motion.atoms.positions - start).max()
    # half a femtosecond at thermal speed
    assert 0.001 < moved < 0.1
    energies = []
    for _ in range(5):
        motion()
        energies.append(motion.atoms.get_total_energy())
    assert np.ptp(energies) < 5 * units.kB * 300


def test_a_step_is_timed(calculator, brief):
    system = systems.supercell("Si", 8)
    found = steps.time_steps(system, calculator, effort=brief, device=CPU)
    assert (found.system, found.num_atoms, found.timing.count) == ("Si8", 8, 2)
    assert found.atoms_per_s == pytest.approx(8000 / found.timing.median_ms)
    assert found.timing.min_ms > 0


def test_mixtures_are_those_of_branches_that_know_the_structure(calculator, brief):
    assert steps.knowing(calculator, {6, 1}) == ["organic", "general"]
    assert steps.knowing(calculator, {14}) == ["general"]
    (row,) = steps.time_mixtures(systems.benzene(), calculator, effort=brief, device=CPU)
    assert (row.num_branches, row.choice) == (2, "organic, general")
    assert row.ratio > 0
    alone = systems.supercell("Si", 8)
    assert steps.time_mixtures(alone, calculator, effort=brief, device=CPU) == []

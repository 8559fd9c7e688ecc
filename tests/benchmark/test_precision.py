"""Precisions are compared with float64, each on the same structures."""

import pytest
import torch

from hydracalc.benchmark import precision, systems
from hydracalc.benchmark.precision import DriftRun


@pytest.fixture(scope="module")
def rows(small_model):
    from hydracalc.benchmark.clock import Effort

    return precision.compare_precisions(
        [systems.supercell("Si", 8)],
        {"model": small_model, "device": "cpu", "threads": 1, "branch": "general"},
        effort=Effort(seconds=0, min_rounds=2, max_rounds=2, warm_up=1),
        device=torch.device("cpu"),
        drift=DriftRun(picoseconds=0.02),
    )


def test_every_precision_has_a_row(rows):
    assert [row.dtype for row in rows] == ["float64", "float32", "bfloat16"]
    for row in rows:
        assert (row.system, row.num_atoms) == ("Si8", 8)
        assert row.median_ms_per_step > 0
        assert 100 < row.peak_MiB < 2000
        assert (row.drift_ps, row.timestep_fs, row.drift_K) == (0.02, 1.0, 300.0)


def test_errors_grow_as_digits_go(rows):
    """float64 is the reference; 24 bits leave about 1e-7 of the energy, 8 bits about 1e-2."""
    exact, single, brief = rows
    for error in ("energy_error_meV_per_atom", "force_error_meV_per_A"):
        assert getattr(exact, error) == 0
        assert 0 < getattr(single, error) < 0.1
        assert getattr(brief, error) > 10 * getattr(single, error)
    for row in rows:
        assert row.max_force_error_meV_per_A >= row.force_error_meV_per_A


def test_float64_keeps_the_energy(rows):
    """20 fs: what is left is the integrator's own error."""
    assert abs(rows[0].drift_meV_per_atom_per_ps) < 100


def test_a_run_is_no_longer_than_its_most_steps(small_model):
    from hydracalc.calculator import HydraCalculator

    calculator = HydraCalculator(small_model, branch="general")
    run = DriftRun(picoseconds=1.0, most_steps=7)
    _, steps = precision._drift(systems.benzene(), calculator, run)
    assert steps == 7

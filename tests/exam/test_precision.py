"""Pass marks follow from the precision of energies, and never from how rough they are."""

import numpy as np
import pytest
import subjects
from builders import make_model

from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import save_checkpoint
from hydracalc.exam.precision import measure_precision
from hydracalc.exam.subject import Subject


def measured(calculator, atoms):
    return measure_precision(Subject(calculator), atoms)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_the_type_of_a_calculator_is_recognized(structures, which):
    atoms = structures[which]
    assert measured(subjects.Sound(), atoms).name == "float64"
    single = measured(subjects.Single(), atoms)
    assert single.name == "float32"
    assert single.rounded_energy


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_type_of_a_model_is_recognized(tmp_path, zoo, dtype):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, make_model(), provenance={})
    calculator = HydraCalculator(path, dtype=dtype, branch="general")
    assert measured(calculator, zoo["triclinic"]).name == dtype


def test_a_rough_calculator_has_the_marks_of_float32_and_no_others(structures):
    rough = measured(subjects.Noisy(), structures[0])
    single = measured(subjects.Single(), structures[0])
    assert rough.name == "float32"
    assert rough.noise > 1e-4
    assert rough.energy_mark(-100.0, 5) < single.energy_mark(-100.0, 5)  # no last digit of -100
    assert rough.force_mark == single.force_mark


def test_noise_is_the_scatter_of_the_energy(structures):
    class Scattered(subjects.Sound):
        rng = np.random.default_rng(0)

        def finish(self, edges, energy, forces, virial):
            return super().finish(edges, energy + self.rng.normal(0, 1e-5), forces, virial)

    noise = np.mean([measured(Scattered(), structures[0]).noise for _ in range(20)])
    assert noise == pytest.approx(1e-5, rel=0.3)


def test_marks_of_float32_are_its_roundings(structures):
    fine, coarse = (measured(kind(), structures[0]) for kind in (subjects.Sound, subjects.Single))
    assert fine.energy_mark(-10.0, 5) == pytest.approx(1e-6, rel=1e-3)
    assert coarse.energy_mark(0.0, 5) == pytest.approx(1e-6 + 100 * 2**-23, rel=1e-3)
    assert coarse.slope_mark(0.0) > 100 * fine.slope_mark(0.0)
    assert coarse.jacobian_mark > 100 * fine.jacobian_mark

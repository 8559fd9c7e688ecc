"""The energy is one smooth extensive function, and forces and stress are its derivatives."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from builders import rattled

from hydracalc import registry
from hydracalc.calculator import HydraCalculator
from hydracalc.exam.examine import ExamConfig, examine
from hydracalc.exam.findings import FAILED, NOT_APPLICABLE

# of every branch; locality too: that of the mixture depends on the composition of the whole
OF_BRANCHES = ("forces", "stress", "rotation", "extensivity", "locality")
OF_MIXTURE = (
    *("forces", "stress", "rotation", "translation"),
    *("permutation", "memory", "batching", "extensivity"),
)
DIFFERENCES = {"forces", "stress"}  # finite ones, all others are exact
EXACT = 1e-9  # eV/atom and eV/A, in float64


def check_exam(calc, items, zoo):
    """All items are tested on the structures that a calculator knows, and pass."""
    known = set(calc.allowed_atomic_numbers)
    structures = [rattled(atoms) for atoms in zoo.values() if set(atoms.numbers) <= known]
    result = examine(calc, ExamConfig(items=items, structures=structures))
    branch = calc.parameters["branch"]
    assert result.names(FAILED) == [], branch
    # some branches know molecules alone, one knows a few metals alone
    assert set(result.names(NOT_APPLICABLE)) <= {"stress", "locality"}, branch
    exact = [item.measurements for item in result.items if item.name not in DIFFERENCES]
    assert max(m.value for measurements in exact for m in measurements) < EXACT, branch


def test_every_branch_passes_the_exam(exact, zoo):
    for branch in exact.branches:
        check_exam(exact.with_branch(branch), OF_BRANCHES, zoo)


def test_the_mixture_passes_the_exam(exact, zoo):
    check_exam(exact.with_branch("auto"), OF_MIXTURE, zoo)


def test_forces_of_a_head_of_their_own_have_no_energy(random_model, zoo):
    direct = HydraCalculator(random_model, branch="organic", forces="direct")
    config = ExamConfig(items=["jacobian"], structures=[zoo["molecule"]])
    (item,) = examine(direct, config).items
    assert item.verdict == FAILED
    assert item.measurements[0].value > 1e-3


@pytest.mark.parametrize("shipped", [model.name for model in registry.list_models()])
def test_forces_have_an_energy_and_keep_it(shipped, zoo):
    """dF/dr is symmetric, and the total energy of a moving molecule has no slope."""
    calc = HydraCalculator(shipped, dtype="float64")
    config = ExamConfig(items=["jacobian", "nve"], structures=[zoo["molecule"]])
    assert examine(calc, config).passed


def test_isolated_atoms_have_their_reference_energy(exact):
    for branch in exact.branches:
        calc = exact.with_branch(branch)
        z = calc.allowed_atomic_numbers[0]
        lone, far = Atoms([z]), Atoms([z, z], [[0, 0, 0], [50, 0, 0]])
        near = Atoms([z, z], [[0, 0, 0], [1.5, 0, 0]])
        energies = [result["energy"] for result in calc.evaluate([lone, near, far])]
        assert energies[0] == pytest.approx(0, abs=1e-9)
        assert energies[2] == pytest.approx(0, abs=1e-9)
        assert calc.get_potential_energy(lone) == pytest.approx(0, abs=1e-9)


def test_a_crystal_is_followed_through_a_cell_change(exact):
    """Neighbors kept over steps are those of the cell as it is now."""
    known = set(exact.allowed_atomic_numbers)
    atoms = next(
        (b for b in (bulk("Si", cubic=True), bulk("Cu", cubic=True)) if set(b.numbers) <= known),
        None,
    )
    if atoms is None:
        pytest.skip("the model knows neither silicon nor copper")
    atoms.calc = exact
    for scale in np.linspace(0.95, 1.1, 7):
        strained = atoms.copy()
        strained.set_cell(atoms.cell * scale, scale_atoms=True)
        fresh = exact.evaluate([strained])[0]
        assert exact.get_potential_energy(strained) == pytest.approx(fresh["energy"], abs=1e-9)

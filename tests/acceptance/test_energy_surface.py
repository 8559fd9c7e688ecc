"""The energy is one smooth extensive function, and forces and stress are its derivatives."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from builders import rattled

from hydracalc.calculator import HydraCalculator
from hydracalc.simulation import MDConfig, RelaxConfig, relax, run_md

STEP = 1e-5  # Angstrom: truncation and rounding are both far below the bars


def known_molecule(calc):
    for name in ("CH3CH2OH", "H2O", "CH4", "N2"):
        if set(molecule(name).numbers) <= set(calc.allowed_atomic_numbers):
            return molecule(name)
    return pytest.skip("the model knows none of the molecules")


def test_forces_are_the_slope_of_the_energy(cases, zoo):
    for name, calc in cases:
        atoms = zoo[name].copy()
        atoms.calc = calc
        some = list(range(0, len(atoms), max(1, len(atoms) // 3)))
        numerical = calculate_numerical_forces(atoms, eps=STEP, iatoms=some)
        error = np.abs(atoms.get_forces()[some] - numerical).max()
        assert error <= 1e-6, (name, calc.parameters["branch"])


def test_stress_is_the_slope_over_strain(cases, zoo):
    for name, calc in cases:
        atoms = zoo[name].copy()
        if not atoms.pbc.any():
            continue
        atoms.calc = calc
        numerical = calculate_numerical_stress(atoms, eps=1e-6)
        error = np.abs(atoms.get_stress() - numerical).max()
        assert error <= 1e-5 * np.abs(numerical).max() + 1e-9, (name, calc.parameters["branch"])


def test_a_supercell_has_eight_times_the_energy(cases, zoo):
    for name, calc in cases:
        atoms = zoo[name].copy()
        if not atoms.pbc.all():
            continue
        single = calc.get_potential_energy(atoms)
        eight = calc.get_potential_energy(atoms * (2, 2, 2))
        assert eight == pytest.approx(8 * single, abs=1e-6 * 8 * len(atoms)), name


def test_batches_change_nothing(exact, zoo):
    known = set(exact.allowed_atomic_numbers)
    some = [atoms for atoms in zoo.values() if set(atoms.numbers) <= known]
    singles = [exact.evaluate([atoms])[0] for atoms in some]
    for order in (slice(None), slice(None, None, -1)):
        for single, batched in zip(singles[order], exact.evaluate(some[order]), strict=True):
            assert batched["energy"] == pytest.approx(single["energy"], abs=1e-10)
            np.testing.assert_allclose(batched["forces"], single["forces"], atol=1e-10)


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


def test_energy_does_not_turn(cases, zoo):
    for name, calc in cases:
        atoms = zoo[name].copy()
        before, forces = calc.get_potential_energy(atoms), calc.get_forces(atoms)
        atoms.rotate(73, (1, -2, 0.5), rotate_cell=True)
        turned = Atoms(positions=forces)
        turned.rotate(73, (1, -2, 0.5))
        assert calc.get_potential_energy(atoms) == pytest.approx(before, abs=1e-10)
        np.testing.assert_allclose(calc.get_forces(atoms), turned.positions, atol=1e-9)


def antisymmetry(calc, atoms):
    """How much of dF/dr is antisymmetric; zero exactly where forces have an energy."""
    columns = []
    for i in range(atoms.positions.size):
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions.flat[i] += sign * STEP
            ends.append(calc.get_forces(moved).ravel())
        columns.append((ends[0] - ends[1]) / (2 * STEP))
    jacobian = np.array(columns)
    return np.linalg.norm(jacobian - jacobian.T) / np.linalg.norm(jacobian + jacobian.T)


def test_forces_have_an_energy(exact):
    atoms = rattled(known_molecule(exact))
    assert antisymmetry(exact, atoms) < 1e-6


def test_the_antisymmetry_test_bites(random_model):
    direct = HydraCalculator(random_model, branch="organic", forces="direct")
    assert antisymmetry(direct, rattled(molecule("CH3OH"))) > 1e-3


def test_nve_keeps_the_energy(model_name, random_model):
    """The total energy of a molecule has no slope; random forces are stiff, so steps are short."""
    calc = HydraCalculator(model_name, dtype="float64")
    atoms = known_molecule(calc)
    atoms.calc = calc
    relax(atoms, RelaxConfig())
    timestep = 0.1 if model_name == random_model else 0.5
    config = MDConfig(ensemble="nve", timestep=timestep, steps=1500, log_every=4)
    assert abs(run_md(atoms, config).drift_meV_per_atom_per_ps) < 0.1


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

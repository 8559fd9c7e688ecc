"""PySCF on the smallest molecules: forces are derivatives, charge and spin count."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import SCFError

from hydracalc.labelling.pyscf_calculator import PySCF

SMALL = {"xc": "pbe", "basis": "sto-3g", "grid_level": 1}


def hydrogen(distance=0.8, **info):
    atoms = Atoms("H2", [[0, 0, 0], [distance, 0.1, 0]], info=info)
    atoms.calc = PySCF(**SMALL)
    return atoms


def test_forces_are_derivatives_of_the_energy():
    atoms = hydrogen()
    forces, step = atoms.get_forces(), 1e-3
    energies = []
    for sign in (1, -1):
        moved = hydrogen()
        moved.positions[1, 0] += sign * step
        energies.append(moved.get_potential_energy())
    assert forces[1, 0] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-4)
    assert np.abs(forces.sum(axis=0)).max() < 1e-6


def test_charge_and_spin_of_info_change_the_energy_without_a_move():
    atoms = hydrogen()
    neutral = atoms.get_potential_energy()
    atoms.info.update(charge=1, spin=2)
    assert atoms.get_potential_energy() > neutral + 5.0
    atoms.info.update(charge=0, spin=3)
    assert atoms.get_potential_energy() > neutral + 2.0
    atoms.info.update(charge=0, spin=2)
    with pytest.raises(ValueError, match="2 electrons cannot have spin multiplicity 2"):
        atoms.get_potential_energy()


def test_iterations_that_do_not_end_are_a_failure():
    atoms = Atoms("O2", [[0, 0, 0], [2.5, 0, 0]])
    atoms.calc = PySCF(**SMALL, max_cycle=1, conv_tol=1e-14)
    with pytest.raises(SCFError, match="not converged after 1 cycles"):
        atoms.get_potential_energy()


def test_crystals_are_refused():
    atoms = hydrogen()
    atoms.cell, atoms.pbc = [5, 5, 5], True
    with pytest.raises(ValueError, match="periodic"):
        atoms.get_potential_energy()

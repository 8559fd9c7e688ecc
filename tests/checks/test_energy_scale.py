"""Totals and energies per atom are told apart by the work of forces and stress."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from builders import labelled

from hydracalc.checks.energy_scale import energy_scale, total_energy_of


@pytest.fixture(scope="module")
def structures():
    rng, found = np.random.default_rng(0), []
    for name, size in (("Cu", 1), ("Al", 2)):
        for step in range(5):
            atoms = bulk(name, cubic=True) * (size, 1, 1)
            atoms.set_cell(atoms.cell * (1 + 0.004 * step), scale_atoms=True)
            atoms.positions += rng.normal(0, 0.01, atoms.positions.shape)
            found.append(labelled(atoms, EMT(), stress=True, group=name, source=f"{step}"))
    return found


def per_atom(structures):
    return [replace(s, energy=s.energy / s.num_atoms) for s in structures]


def test_the_derivative_tells_totals_from_energies_per_atom(structures):
    assert energy_scale(structures, max_displacement=0.2) == "total"
    assert energy_scale(per_atom(structures), max_displacement=0.2) == "per atom"


def test_energies_are_multiplied_by_the_number_of_atoms(structures):
    for structure, total in zip(per_atom(structures), structures, strict=True):
        assert total_energy_of(structure).energy == pytest.approx(total.energy, rel=1e-14)


@pytest.mark.parametrize("factor", [-1.0, 20.0])
def test_energies_that_are_neither_are_refused(structures, factor):
    wrong = [replace(s, energy=factor * s.energy) for s in structures]
    with pytest.raises(ValueError, match="totals or per atom does not follow"):
        energy_scale(wrong, max_displacement=0.2)


def test_single_structures_decide_nothing(structures):
    apart = [replace(s, group=str(number)) for number, s in enumerate(structures)]
    with pytest.raises(ValueError, match="0 pairs"):
        energy_scale(apart, max_displacement=0.2)

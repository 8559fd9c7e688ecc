"""phonopy and ASE find the same phonons from the same model."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.phonons import Phonons
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

THZ_PER_EV = 1e-12 * units._e / units._hplanck
# waves that fit into the supercell: elsewhere the two choose images of an atom differently
POINTS = ((1 / 3, 0, 1 / 3), (1 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 0), (0, 0, 1 / 3))
STEP = 0.01  # Angstrom


@pytest.fixture(scope="module")
def calc(shipped):
    return shipped.with_branch("mptrj")


@pytest.fixture(scope="module")
def phonon(calc):
    cell = bulk("Cu")
    phonon = Phonopy(
        PhonopyAtoms(symbols=["Cu"], cell=cell.cell.array, positions=cell.positions),
        supercell_matrix=np.diag([3, 3, 3]),
    )
    phonon.generate_displacements(distance=STEP, is_plusminus=True)
    displaced = [
        Atoms(s.symbols, positions=s.positions, cell=s.cell, pbc=True)
        for s in phonon.supercells_with_displacements
    ]
    phonon.forces = [result["forces"] for result in calc.evaluate(displaced)]
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return phonon


def test_frequencies_are_those_of_ase(phonon, calc, tmp_path):
    by_ase = Phonons(
        bulk("Cu"), calc, supercell=(3, 3, 3), delta=STEP, name=str(tmp_path / "phonons")
    )
    by_ase.run()
    by_ase.read(acoustic=True)
    expected = by_ase.band_structure(np.array(POINTS)) * THZ_PER_EV
    found = phonon.run_qpoints(POINTS).frequencies
    assert abs(found).max() > 5
    np.testing.assert_allclose(np.sort(found), np.sort(expected), atol=0.02)


def test_the_whole_crystal_moves_for_nothing(phonon):
    assert abs(phonon.run_qpoints([[0, 0, 0]]).frequencies).max() < 1e-3

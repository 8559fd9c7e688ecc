"""Writes a small file in the published layout of QM7-X, with labels that are not those of QM7-X.

    python make_sample.py 1000.hdf5

No slice of the published file is small enough to ship, so five molecules are computed here, each
at a reference geometry and displaced from it: PBE0/6-31G(d) with PySCF (pyscf 2.14), and a damped
pairwise -C6/(r^6 + d^6) where the published file has many-body dispersion. Forces are exact
derivatives of the energies, so that the adapter can be checked; the numbers are of no other use.
"""

import sys
from itertools import combinations

import h5py
import numpy as np
from ase import Atoms
from ase.build import molecule
from pyscf import dft, gto

from hydracalc import units

MOLECULES = ("CH4", "CH3OH", "CH3SH", "CH3Cl", "H3CNH2")
C6 = 20.0  # eV A^6
DAMPING = 2.5  # Angstrom
THEORY = "PBE0/6-31G(d) and damped -C6/r^6, computed with PySCF: not the published labels"


def pbe0(atoms: Atoms) -> tuple[float, np.ndarray]:
    """Energy, eV, and forces, eV/Angstrom."""
    geometry = list(zip(atoms.symbols, atoms.positions, strict=True))
    calculation = dft.RKS(gto.M(atom=geometry, basis="6-31g(d)", verbose=0), xc="pbe0")
    calculation.grids.level = 4
    calculation.conv_tol = 1e-10
    energy = calculation.kernel()
    gradient = calculation.nuc_grad_method()
    gradient.grid_response = True
    return energy * units.HARTREE, -gradient.kernel() * units.HARTREE / units.BOHR


def dispersion(atoms: Atoms) -> tuple[float, np.ndarray]:
    """Energy, eV, and forces, eV/Angstrom, of the pairwise term."""
    energy, forces = 0.0, np.zeros((len(atoms), 3))
    for i, j in combinations(range(len(atoms)), 2):
        vector = atoms.positions[j] - atoms.positions[i]
        distance = np.linalg.norm(vector)
        damped = distance**6 + DAMPING**6
        energy -= C6 / damped
        pull = 6 * C6 * distance**4 * vector / damped**2
        forces[i] += pull
        forces[j] -= pull
    return energy, forces


def record(group: h5py.Group, atoms: Atoms) -> None:
    """Write one structure under the published names."""
    energy, forces = pbe0(atoms)
    attraction, pulls = dispersion(atoms)
    group["atNUM"] = atoms.numbers
    group["atXYZ"] = atoms.positions
    group["ePBE0"] = [energy]
    group["eMBD"] = [attraction]
    group["ePBE0+MBD"] = [energy + attraction]
    group["pbe0FOR"] = forces
    group["vdwFOR"] = pulls
    group["totFOR"] = forces + pulls


def main(target: str) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(target, "w") as file:
        file.attrs["labels"] = THEORY
        for number, name in enumerate(MOLECULES, 1):
            atoms = molecule(name)
            conformer = file.create_group(str(number))
            record(conformer.create_group(f"Geom-m{number}-i1-c1-opt"), atoms)
            direction = rng.normal(0, 0.04, (len(atoms), 3))
            for step in range(1, 4):
                displaced = atoms.copy()
                displaced.positions += step * direction
                record(conformer.create_group(f"Geom-m{number}-i1-c1-{step}"), displaced)


if __name__ == "__main__":
    main(*sys.argv[1:])

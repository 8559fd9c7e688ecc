"""Labels reactive geometries of Transition1x again, at its level of theory, with PySCF.

    python label.py geometries.h5 labelled.h5

The input has the Transition1x layout; only its atoms and positions are read. The output has the
same layout, with energies and forces of wB97X/6-31G(d) computed here: they are marked as computed
wherever they are used. Needs `pip install pyscf==2.14.0`; about ten seconds a structure.
"""

import sys

import h5py
import numpy as np
from ase.data import chemical_symbols
from pyscf import dft, gto

from hydracalc import units

THEORY = "wB97x_6-31G(d)"


def label(atomic_numbers: np.ndarray, positions: np.ndarray) -> tuple[bool, float, np.ndarray]:
    """Energy, eV, and forces, eV/Angstrom, of one closed-shell neutral structure."""
    symbols = [chemical_symbols[z] for z in atomic_numbers]
    molecule = gto.M(atom=list(zip(symbols, positions, strict=True)), basis="6-31g(d)", verbose=0)
    calculation = dft.RKS(molecule, xc="wb97x")
    calculation.grids.level = 4
    calculation.conv_tol = 1e-9
    energy = calculation.kernel()
    if not calculation.converged:
        calculation = calculation.newton()
        energy = calculation.kernel()
    gradient = calculation.nuc_grad_method()
    gradient.grid_response = True
    forces = -gradient.kernel() * units.HARTREE / units.BOHR
    return calculation.converged, energy * units.HARTREE, forces


def main(source: str, target: str) -> None:
    with h5py.File(source) as raw, h5py.File(target, "w") as out:
        for formula, reactions in raw["data"].items():
            for name, reaction in reactions.items():
                numbers = reaction["atomic_numbers"][:]
                kept = []
                for positions in reaction["positions"][:]:
                    converged, energy, forces = label(numbers, positions)
                    print(formula, name, converged, energy, np.abs(forces).max(), flush=True)
                    if converged:
                        kept.append((positions, energy, forces))
                if not kept:
                    continue
                group = out.create_group(f"data/{formula}/{name}")
                group["atomic_numbers"] = numbers
                group["positions"] = np.array([entry[0] for entry in kept])
                group[f"{THEORY}.energy"] = np.array([entry[1] for entry in kept])
                group[f"{THEORY}.forces"] = np.array([entry[2] for entry in kept])
                out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Writes entries in the layout of MatPES, with labels that are not those of MatPES.

python make_sample.py MatPES-PBE-2025.1_emt.json.gz PBE

No slice of the published files is small enough to ship, so four crystals of metals are displaced
and strained here, shear included, and labelled with ASE's effective medium theory. Its stress is
the exact derivative of its energy, so that order, sign and unit of the six published numbers can
be checked; the numbers are of no other use.
"""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from hydracalc import units
from hydracalc.elements import reduced_formula
from hydracalc.readers.crystals import write_crystal

NEIGHBORS = 9
ORDER = [0, 1, 2, 3, 4, 5]  # xx yy zz yz xz xy, which is ASE's own


def crystals() -> list[Atoms]:
    """Cubic cells of four atoms: two elements, two alloys."""
    alloy = bulk("Au", cubic=True, a=3.74)
    alloy.symbols[1:] = "Cu"
    other = bulk("Pd", cubic=True, a=3.98)
    other.symbols[:2] = "Ag"
    return [bulk("Cu", cubic=True), bulk("Al", cubic=True), alloy, other]


def entry(atoms: Atoms, name: str, functional: str) -> dict:
    """One structure under the published keys that are read, and some that are not."""
    atoms.calc = EMT()
    forces = atoms.get_forces()
    return {
        "nsites": len(atoms),
        "elements": sorted(set(atoms.get_chemical_symbols())),
        "formula_pretty": reduced_formula(atoms.numbers),
        "volume": atoms.get_volume(),
        "structure": write_crystal(atoms.numbers, atoms.positions, atoms.cell.array),
        "energy": atoms.get_potential_energy(),
        "forces": forces.tolist(),
        "stress": (-atoms.get_stress()[ORDER] / units.KILOBAR).tolist(),
        "matpes_id": name,
        "bandgap": 0.0,
        "functional": functional,
        "abs_forces": np.linalg.norm(forces, axis=1).tolist(),
        "bader_charges": None,
        "provenance": {"original_mp_id": name.rpartition("_")[0], "mlip_name": None},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("functional", help="as entries name it: PBE or r2SCAN")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    entries = []
    for number, crystal in enumerate(crystals()):
        for step in range(NEIGHBORS):
            atoms = crystal.copy()
            strain = rng.normal(0, 0.004, (3, 3)) * (1 - 0.9 * np.eye(3))  # mostly shear
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
            atoms.positions += rng.normal(0, 0.005, atoms.positions.shape)
            entries.append(entry(atoms, f"emt-{number}_{step}", arguments.functional))
    with gzip.GzipFile(arguments.output, "wb", mtime=0) as file:
        file.write(json.dumps(entries, separators=(",", ":")).encode())


if __name__ == "__main__":
    main()

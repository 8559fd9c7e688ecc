"""Phonons of copper by finite displacements, with phonopy. Needs hydracalc[phonons]."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from hydracalc import HydraCalculator

# differences of small forces: float64; one branch: one level of theory
calc = HydraCalculator("mtl-all", branch="mptrj", dtype="float64")
cell = bulk("Cu")
cell.calc = calc
FIRE(FrechetCellFilter(cell), logfile=None).run(fmax=1e-3, steps=300)
print(f"relaxed: a = {(4 * cell.get_volume()) ** (1 / 3):.3f} Angstrom (experiment: 3.61)")

unitcell = PhonopyAtoms(
    symbols=cell.get_chemical_symbols(), cell=cell.cell.array, positions=cell.positions
)
phonon = Phonopy(unitcell, supercell_matrix=np.diag([3, 3, 3]))
phonon.generate_displacements(distance=0.01)

# all displaced supercells in one batch; phonopy takes forces in eV/Angstrom as they are
displaced = [
    Atoms(s.symbols, positions=s.positions, cell=s.cell, pbc=True)
    for s in phonon.supercells_with_displacements
]
phonon.forces = [result["forces"] for result in calc.evaluate(displaced)]
phonon.produce_force_constants()
phonon.symmetrize_force_constants()

# the model is small: its crystal is stable, and stiffer than copper is
points = {"X": (0.5, 0, 0.5), "L": (0.5, 0.5, 0.5)}
measured = {"X": "5.1  5.1  7.3", "L": "3.4  3.4  7.3"}
found = phonon.run_qpoints(list(points.values())).frequencies
for name, frequencies in zip(points, found, strict=True):
    values = "  ".join(f"{f:.1f}" for f in frequencies)
    print(f"at {name}: {values} THz (experiment: {measured[name]})")

phonon.run_mesh([8, 8, 8], is_gamma_center=True)
phonon.run_thermal_properties(temperatures=[298.15], exclude_gamma_acoustic=True)
entropy = phonon.thermal_properties.entropy[0]
print(f"entropy at 298 K: {entropy:.1f} J/K/mol (experiment: 33.2)")

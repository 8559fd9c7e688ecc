"""Lattice constant of copper: atoms and cell relaxed together, then the equation of state."""

import numpy as np
from ase.build import bulk
from ase.eos import EquationOfState
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.units import GPa

from hydracalc import HydraCalculator

atoms = bulk("Cu", cubic=True)
atoms.calc = HydraCalculator("mtl-all")
FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=0.005, steps=200)
print(f"a = {atoms.cell.lengths().mean():.3f} Angstrom (experiment: 3.61)")
print(f"pressure {-atoms.get_stress()[:3].mean() / GPa:+.3f} GPa")

# many structures at once are evaluated in batches
strained = []
for scale in np.linspace(0.97, 1.03, 9):
    copy = atoms.copy()
    copy.set_cell(atoms.cell * scale, scale_atoms=True)
    strained.append(copy)
energies = [result["energy"] for result in atoms.calc.evaluate(strained)]
volume, _, bulk_modulus = EquationOfState([a.get_volume() for a in strained], energies).fit()
print(
    f"volume {volume / len(atoms):.2f} Angstrom^3/atom, bulk modulus {bulk_modulus / GPa:.0f} GPa"
)

"""Inversion of ammonia: minima and the saddle between them by a nudged elastic band of ASE."""

import numpy as np
from ase.build import molecule
from ase.mep import NEB
from ase.optimize import FIRE

from hydracalc import HydraCalculator

# one branch, so that all images have one level of theory; its molecules are far from minima
calc = HydraCalculator("mtl-all", branch="ani1x")
print(calc.branch_card("ani1x").theory)

start = molecule("NH3")
start.calc = calc
FIRE(start, logfile=None).run(fmax=0.01, steps=300)

end = start.copy()
plane = end.positions[1:].mean(axis=0)
end.positions[0] = 2 * plane - end.positions[0]  # nitrogen on the other side of the hydrogens

images = [start, *(start.copy() for _ in range(5)), end]
for image in images[1:]:
    image.calc = calc.with_branch("ani1x")  # its own results, the same weights
band = NEB(images, climb=True, method="improvedtangent")
band.interpolate()
converged = FIRE(band, logfile=None).run(fmax=0.05, steps=300)

energies = np.array([image.get_potential_energy() for image in images])
print("converged" if converged else "not converged")
print("along the band, eV:", np.round(energies - energies[0], 3))
print(f"barrier {energies.max() - energies[0]:.3f} eV (experiment: about 0.25)")

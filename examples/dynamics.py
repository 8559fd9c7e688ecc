"""Molecular dynamics of ethanol at 300 K, and how well energy is kept without a thermostat."""

from ase import units
from ase.build import molecule
from ase.md.bussi import Bussi
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE
from numpy.random import default_rng

from hydracalc import HydraCalculator

atoms = molecule("CH3CH2OH")
atoms.calc = HydraCalculator("mtl-all")
print("branches by composition:", atoms.calc.get_branch_weights(atoms))

FIRE(atoms, logfile=None).run(fmax=0.05, steps=200)
rng = default_rng(0)
thermalize_momenta(atoms, 300, rng=rng)
Stationary(atoms)

heated = Bussi(atoms, 0.5 * units.fs, temperature_K=300, taut=50 * units.fs, rng=rng)
heated.attach(lambda: print(f"{atoms.get_temperature():6.0f} K"), interval=50)
heated.run(200)

start = atoms.get_total_energy()
VelocityVerlet(atoms, 0.5 * units.fs).run(200)
drift = (atoms.get_total_energy() - start) / len(atoms)
print(f"total energy after 0.1 ps without thermostat: {1e3 * drift:+.3f} meV/atom")

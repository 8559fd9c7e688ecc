"""ASE calculators that tests of labelling name by "labellers:Class"."""

import numpy as np
from ase.calculators.calculator import Calculator, SCFError, all_changes


class Springs(Calculator):
    """Every atom on a spring to the origin; charge, multiplicity and info show in the energy."""

    implemented_properties = ["energy", "forces"]
    default_parameters = {"charge": 0, "multiplicity": 1, "stiffness": 1.0}

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        stiffness = self.parameters.stiffness
        electrons = 1000 * self.parameters.charge + 100 * self.parameters.multiplicity
        stated = 10 * self.atoms.info["charge"] + self.atoms.info["spin"]
        energy = 0.5 * stiffness * np.square(self.atoms.positions).sum() + electrons + stated
        self.results = {"energy": energy, "forces": -stiffness * self.atoms.positions}


class Stubborn(Springs):
    """Does not converge for hydrogen, and finds no number for oxygen."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if 1 in self.atoms.numbers:
            raise SCFError("not after 100 cycles")
        if 8 in self.atoms.numbers:
            self.results["forces"] = self.results["forces"] * np.nan


class EnergyOnly(Calculator):
    """Knows no forces."""

    implemented_properties = ["energy"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": float(len(self.atoms))}

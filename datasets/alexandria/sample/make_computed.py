"""Writes strained and rattled crystals in the layout of Alexandria's geometry optimizations.

    python make_computed.py alex_go_computed.json.bz2

The published steps at hand are one to a material and nearly relaxed: they do not show whether
forces and stress are derivatives of the energy. These do; their labels are ASE's effective medium
theory, not those of Alexandria, and are of no other use.
"""

import bz2
import json
import sys
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from hydracalc import units
from hydracalc.readers.crystals import write_crystal

ALLOYS = ("Cu", "Au"), ("Ni", "Al"), ("Pd", "Pt"), ("Ag", "Al")
STEPS = 6


def crystal(first: str, second: str, rng: np.random.Generator) -> Atoms:
    """A layered ordering of two metals on the lattice of the first."""
    atoms = bulk(first, "fcc", a=4.0, cubic=True)
    atoms.symbols[2:] = second
    atoms.set_cell(atoms.cell.array + rng.normal(0, 0.1, (3, 3)), scale_atoms=True)
    return atoms


def step(atoms: Atoms) -> dict[str, Any]:
    """One step as published: stress in kBar, compression positive."""
    atoms.calc = EMT()
    return {
        "structure": write_crystal(atoms.numbers, atoms.positions, atoms.cell.array),
        "energy": float(atoms.get_potential_energy()),
        "forces": atoms.get_forces().tolist(),
        "stress": (-atoms.get_stress(voigt=False) / units.KILOBAR).tolist(),
    }


def main(target: str) -> None:
    rng = np.random.default_rng(0)
    content = {}
    for number, alloy in enumerate(ALLOYS):
        start = crystal(*alloy, rng)
        steps = []
        for _ in range(STEPS):
            atoms = start.copy()
            strain = np.eye(3) + rng.normal(0, 0.01, (3, 3))
            atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            atoms.positions += rng.normal(0, 0.02, atoms.positions.shape)
            steps.append(step(atoms))
        content[f"computed{number}"] = [{"steps": steps}]
    with open(target, "wb") as file:
        file.write(bz2.compress(json.dumps(content, separators=(",", ":")).encode()))


if __name__ == "__main__":
    main(*sys.argv[1:])

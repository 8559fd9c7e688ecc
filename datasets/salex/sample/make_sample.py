"""Writes a sample in the layout of sAlex, labelled by an analytic potential, EMT.

Run from any folder: python make_sample.py [folder to write to]
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from hydracalc.readers.aselmdb_writer import row_of, write_rows

FILES = {"train": ("Ag", "Pt", "Al"), "val": ("Pt",)}
STEPS = 4


def steps(name: str, rng: np.random.Generator) -> list[Atoms]:
    """A crystal that relaxes a little: each step is closer to the ideal one.

    Cells also change by a little in all directions, so that the steps tell of every component of
    the stress.
    """
    ideal = bulk(name, cubic=True)
    moves, strain = rng.normal(0, 0.03, (len(ideal), 3)), rng.normal(0, 0.007, (3, 3))
    made = []
    for step in range(STEPS):
        atoms, rest = ideal.copy(), 1 - step / (2 * STEPS)
        strained = np.eye(3) + rest * strain + rng.normal(0, 0.007, (3, 3))
        atoms.set_cell(atoms.cell @ strained, scale_atoms=True)
        atoms.positions += rest * moves
        atoms.calc = EMT()
        atoms.get_stress()
        made.append(atoms)
    return made


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    generator = np.random.default_rng(0)
    for split, names in FILES.items():
        (out / split).mkdir(exist_ok=True)
        (out / split / "data.aselmdb").unlink(missing_ok=True)
        write_rows(
            out / split / "data.aselmdb",
            [
                row_of(atoms, {"sid": f"made_{split}_{name}_{step}"})
                for name in names
                for step, atoms in enumerate(steps(name, generator))
            ],
        )

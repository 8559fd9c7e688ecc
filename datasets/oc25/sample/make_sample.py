"""Writes a sample in the layout of OC25, labelled by an analytic potential, EMT.

Run from any folder: python make_sample.py [folder to write to]
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from hydracalc.readers.aselmdb_writer import row_of, write_rows

FILES = {"train": ("Cu", "Pt"), "val": ("Pt",)}
BULKS = {"Cu": 0, "Pt": 1}
FRAMES = 4


def interface(metal: str) -> Atoms:
    """Two layers of a metal, the lower one fixed, a hydroxyl on it and two waters above."""
    slab = fcc111(metal, (2, 2, 2), vacuum=7.0)
    fixed = FixAtoms(mask=slab.positions[:, 2] < slab.positions[:, 2].mean())
    slab.set_tags(np.where(slab.positions[:, 2] < slab.positions[:, 2].mean(), 0, 1))
    add_adsorbate(slab, Atoms("OH", [[0, 0, 0], [0.2, 0.3, 0.95]]), 1.4, "fcc")
    for height, shift in ((3.4, (0.3, 0.2)), (5.6, (1.6, 1.2))):
        add_adsorbate(slab, molecule("H2O"), height, position=shift)
    slab.set_tags(np.where(np.arange(len(slab)) < 8, slab.get_tags(), 2))
    slab.set_constraint(fixed)
    slab.pbc = True
    return slab


def rows(metal: str, split: str, rng: np.random.Generator) -> list[dict]:
    """Frames close to each other."""
    made = []
    for frame in range(FRAMES):
        atoms = interface(metal)
        atoms.positions += rng.normal(0, 0.02, (len(atoms), 3))
        atoms.calc = EMT()
        forces = atoms.get_forces(apply_constraint=False)
        source = (
            f"made-{split}/solvent1/1/bulk{BULKS[metal]}/surface_1:1:1_0.000_1/ads_0/clean/randsh0"
        )
        about = {
            "natoms": len(atoms),
            "force_sum": forces.sum(axis=0),
            "total_drift": [0.0, 0.0, 0.0],
            "source": source,
            "fid": frame,
            "sid": source,
        }
        made.append(row_of(atoms, about))
    return made


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    generator = np.random.default_rng(0)
    for split, metals in FILES.items():
        (out / split).mkdir(exist_ok=True)
        (out / split / "data0000.aselmdb").unlink(missing_ok=True)
        content = [row for metal in metals for row in rows(metal, split, generator)]
        write_rows(out / split / "data0000.aselmdb", content)

"""Writes a sample in the layouts of ODAC23, labelled by an analytic potential, EMT.

Run from any folder: python make_sample.py [folder to write to]
"""

import sys
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from hydracalc.readers.aselmdb_writer import row_of, write_rows

FILES = {
    "extxyz_train/made1_w_CO2_1.extxyz": ("Cu", "CO2"),
    "extxyz_train/made2_w_H2O_1.extxyz": ("Ni", "H2O"),
    "extxyz_val/made1_w_H2O_1.extxyz": ("Cu", "H2O"),
    "val/made.aselmdb": ("Ni", "CO2"),
}
FRAMES = 4
EDGE = 7.0  # Angstrom
FRAMEWORK, ADSORBATE = 0, {"CO2": 1, "H2O": 2}  # tags


def framework(metal: str) -> Atoms:
    """Metal atoms joined along the edges of a cube by O-C-C-O: an open net like a MOF's."""
    symbols, positions = [metal], [np.zeros(3)]
    for axis in np.eye(3):
        for symbol, along in (("O", 1.9), ("C", 3.0), ("C", 4.0), ("O", 5.1)):
            symbols.append(symbol)
            positions.append(along * axis)
    return Atoms(symbols, positions, cell=EDGE * np.eye(3), pbc=True)


def frames(metal: str, gas: str, rng: np.random.Generator) -> list[Atoms]:
    """Close to each other, with labels and tags."""
    made = []
    for _ in range(FRAMES):
        atoms, guest = framework(metal), molecule(gas)
        guest.positions += EDGE / 2 - guest.positions.mean(axis=0)
        tags = [FRAMEWORK] * len(atoms) + [ADSORBATE[gas]] * len(guest)
        atoms += guest
        atoms.set_tags(tags)
        atoms.positions += rng.normal(0, 0.01, (len(atoms), 3))
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        made.append(atoms)
    return made


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    generator = np.random.default_rng(0)
    for name, content in FILES.items():
        path = out / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        structures = frames(*content, generator)
        if path.suffix == ".aselmdb":
            write_rows(path, [row_of(atoms, {}) for atoms in structures])
        else:
            columns = ["symbols", "positions", "tags", "forces"]
            ase.io.write(path, structures, format="extxyz", columns=columns)

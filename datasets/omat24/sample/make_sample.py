"""Writes a sample in the layout of OMat24, labelled by an analytic potential, EMT.

Run from any folder: python make_sample.py [folder to write to]
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from hydracalc.elements import reduced_formula
from hydracalc.readers.aselmdb_writer import row_of, write_rows

SUBSETS = {
    "train/rattled-300-subsampled": ("Cu", "AuCu3"),
    "train/aimd-from-PBE-1000-npt": ("AlNi",),
    "val/rattled-300-subsampled": ("Au",),
}
COPIES = 4


def crystal(name: str) -> Atoms:
    """A cell of 4 atoms."""
    if name == "AlNi":
        return bulk("NiAl", "cesiumchloride", a=2.95) * (2, 1, 1)
    atoms = bulk(name if name == "Au" else "Cu", cubic=True)
    if name == "AuCu3":
        atoms.symbols[0] = "Au"
        atoms.set_cell(3.75 * np.eye(3), scale_atoms=True)
    return atoms


def rows(subset: str, rng: np.random.Generator) -> list[dict]:
    """Displaced and strained copies of each crystal of a subset."""
    made = []
    for name in SUBSETS[subset]:
        start = crystal(name)
        start.positions += rng.normal(0, 0.1, (len(start), 3))
        for copy in range(COPIES):
            atoms = start.copy()
            atoms.set_cell(
                atoms.cell @ (np.eye(3) + rng.normal(0, 0.004, (3, 3))), scale_atoms=True
            )
            atoms.positions += rng.normal(0, 0.02, (len(atoms), 3))
            atoms.calc = EMT()
            energy, _ = atoms.get_potential_energy(), atoms.get_stress()
            about = {
                "sid": f"made_{name}_{subset.rpartition('/')[2]}_{copy}",
                "calc_id": subset.rpartition("/")[2],
                "task_type": "Static",
                "composition_reduced": reduced_formula(atoms.numbers),
                "energy_corrected_mp2020": energy - 1.0,
                "energy_adjustments_mp2020": [-1.0],
                "parent_id": f"made_{name}",
            }
            made.append(row_of(atoms, about))
    return made


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    generator = np.random.default_rng(0)
    for subset in SUBSETS:
        (out / subset).mkdir(parents=True, exist_ok=True)
        (out / subset / "data.aselmdb").unlink(missing_ok=True)
        write_rows(out / subset / "data.aselmdb", rows(subset, generator))

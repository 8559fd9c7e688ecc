"""Writes a sample in the layout of OC22's trajectories, labelled by an analytic potential, EMT.

Run from any folder: python make_sample.py [folder to write to]
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bulk, surface
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io.trajectory import TrajectoryWriter

NAMES = {
    "train_s2ef_t.txt": ("CuO_made-1_a", "NiO_made-2_b"),
    "val_id_s2ef_t.txt": ("CuO_made-1_c",),
    "val_ood_s2ef_t.txt": ("NiO_made-3_d",),
}
FRAMES = 4


def slab(name: str) -> Atoms:
    """Layers of a rock salt oxide with a hydroxyl or an oxygen on it, the lowest layer fixed."""
    crystal = bulk(name[:3], "rocksalt", a=4.3, cubic=True)
    atoms = surface(crystal, (1, 0, 0), 2, vacuum=6.0)
    atoms.set_tags(np.where(atoms.positions[:, 2] > atoms.positions[:, 2].max() - 0.5, 1, 0))
    fixed = FixAtoms(mask=atoms.positions[:, 2] < atoms.positions[:, 2].min() + 0.5)
    adsorbate = Atoms("OH", [[0, 0, 0], [0.2, 0, 0.95]]) if name[-1] in "ab" else Atoms("O")
    add_adsorbate(atoms, adsorbate, 2.0, position=atoms.positions[-1, :2])
    atoms.set_tags([*atoms.get_tags()[: -len(adsorbate)], *[2] * len(adsorbate)])
    atoms.set_constraint(fixed)
    atoms.pbc = True
    return atoms


def frames(name: str, rng: np.random.Generator) -> list[Atoms]:
    """Close to each other, with the labels as they are stored beside them."""
    made = []
    for _ in range(FRAMES):
        atoms = slab(name)
        atoms.positions += rng.normal(0, 0.02, (len(atoms), 3))
        atoms.calc = EMT()
        labels = {
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces(apply_constraint=False),
        }
        atoms.calc = SinglePointCalculator(atoms, **labels)
        made.append(atoms)
    return made


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    folder = out / "oc22_trajectories" / "trajectories" / "oc22"
    (folder / "raw_trajs").mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for file, names in NAMES.items():
        (folder / file).write_text("".join(f"{name}.traj\n" for name in names))
        for name in names:
            with TrajectoryWriter(folder / "raw_trajs" / f"{name}.traj") as trajectory:
                for atoms in frames(name, generator):
                    trajectory.write(atoms)

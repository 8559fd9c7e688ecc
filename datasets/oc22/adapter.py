"""OC22: molecules on the surfaces of oxides [10.1021/acscatal.2c05426]."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from hydracalc.elements import reduced_formula
from hydracalc.ingest.ase_rows import UNLABELLED
from hydracalc.ingest.folders import place, published_split, sided
from hydracalc.ingest.pyg_lmdb import RefusesPickles
from hydracalc.readers.ase_frames import TRAJECTORY, labelled, read_frames
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part
from hydracalc.structure import AtomicStructure

FOLDERS = {"*train*s2ef*": "train", "*val*s2ef*": "val", "*test*s2ef*": "test"}
LISTS = {"train_s2ef_t.txt": "train", "val_id_s2ef_t.txt": "val", "val_ood_s2ef_t.txt": "val"}


class Oc22(RefusesPickles):
    """Reads raw_trajs/*.traj of the published trajectories, or a repack as extended XYZ.

    Lists of names beside the folder of trajectories state the split, and a trajectory is a group.
    In a repack folders named as the tasks (train_s2ef, val_id_s2ef) state it, and the group is the
    composition.
    """

    patterns = ("**/*.traj", "**/*.extxyz", "**/*.extxyz.xz")
    instead = "oc22_trajectories.tar.gz, which holds ASE trajectories"

    def structures(self, part: Part) -> Iterator[AtomicStructure]:
        """Every frame that has energy and forces."""
        path = part.path
        is_trajectory = path.suffix == TRAJECTORY
        split = _listed(path) if is_trajectory else published_split(path, FOLDERS)
        name = path.stem if is_trajectory else place(path, FOLDERS)
        for number, atoms in enumerate(read_frames(path)):
            with reading(path, f"frame {number}"):
                structure = labelled(atoms, source=f"{name}/{number}")
                if structure is None:
                    self.dropped[UNLABELLED] += 1
                    continue
                composition = sided(reduced_formula(structure.atomic_numbers), split)
                group = name if is_trajectory else composition
                yield self.converted(replace(structure, group=group, split=split))


def _listed(path: Path) -> str | None:
    """Split of a trajectory by the lists beside its folder; None if it is in none."""
    return _lists(path.parent.parent).get(path.name)


@lru_cache(maxsize=4)
def _lists(folder: Path) -> dict[str, str]:
    """Name of a trajectory to its split."""
    return {
        line.strip(): split
        for name, split in LISTS.items()
        if (folder / name).is_file()
        for line in (folder / name).read_text().splitlines()
    }

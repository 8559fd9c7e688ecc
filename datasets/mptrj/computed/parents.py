"""Writes the crystals that `label.py` starts from: training structures of prepared slices.

    python parents.py parents.extxyz shards/mptrj shards/alexandria --held-out shards/mattersim

Materials whose formula is in the validation or test part of any of the shards, also of those that
are no parents, are left out, so that nothing near them is labelled.
"""

import argparse
from pathlib import Path

import ase.io

from hydracalc.labelling.md_snapshots import as_atoms
from hydracalc.shards.reader import open_shards

MOST_ATOMS = 48


def main() -> None:
    """Read, leave out, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("parents", nargs="+")
    parser.add_argument("--held-out", nargs="*", default=[])
    given = parser.parse_args()
    held_out, frames = set(), []
    for folder in given.parents + given.held_out:
        shards = open_shards(folder)
        for structure in shards.read((shards.splits > 0).nonzero()[0]):
            held_out.add(as_atoms(structure).get_chemical_formula(empirical=True))
    for folder in given.parents:
        shards = open_shards(folder)
        for structure in shards.read((shards.splits == 0).nonzero()[0]):
            atoms = as_atoms(structure)
            formula = atoms.get_chemical_formula(empirical=True)
            if len(atoms) <= MOST_ATOMS and atoms.pbc.all() and formula not in held_out:
                atoms.info = {"source": shards.branch}
                frames.append(atoms)
    ase.io.write(given.out, frames, format="extxyz")
    Path(f"{given.out}.held_out").write_text("\n".join(sorted(held_out)))


if __name__ == "__main__":
    main()

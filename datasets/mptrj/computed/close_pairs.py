"""Pairs of atoms nearer than any bond, labelled with the repulsion of their nuclei alone.

    python close_pairs.py MPtrj_close_pairs.json.gz SHARDS --each 2
    python close_pairs.py ../../ani1x/computed/ani1x_close_pairs.h5 SHARDS --each 100

No dataset has such pairs, and what a network makes up for them may be a bond deeper than all
others. These frames tell it to add nothing: the energy is that of the references of SHARDS, which
are of the branch in question, and of ZBL's screened Coulomb law, which the model has built in
(`hydracalc.models.repulsion`). Pairs are of all elements that SHARDS have references of.
"""

import argparse
import gzip
import json
from itertools import combinations_with_replacement
from pathlib import Path

import h5py
import numpy as np
import torch
from ase.data import covalent_radii

from hydracalc import elements, units
from hydracalc.graphs.collate import collate
from hydracalc.models.repulsion import Repulsion
from hydracalc.readers.crystals import write_crystal
from hydracalc.shards.reader import open_shards
from hydracalc.structure import AtomicStructure

# of the sum of covalent radii: from where the encoder sees no less, to below any bond
NEAREST, FARTHEST = 0.5, 0.8
MULTIPLE, FARTHEST_MULTIPLE = {"B", "C", "N", "O", "P", "S"}, 0.7  # triple bonds reach 0.77
BOX = 12.0  # Angstrom
MOST_FORCE = 95.0  # eV/Angstrom, below what shards leave out
CUTOFF = 5.0


def pair(symbols: tuple[str, str], part: float) -> AtomicStructure:
    """Two atoms at a part of the sum of their radii."""
    numbers = np.array([elements.number(symbol) for symbol in symbols])
    length = part * covalent_radii[numbers].sum()
    return AtomicStructure(atomic_numbers=numbers, positions=np.array([[0, 0, 0], [0, 0, length]]))


def repulsion(structure: AtomicStructure) -> tuple[float, np.ndarray]:
    """Energy, eV, and forces, eV/Angstrom, (2, 3), of the nuclei."""
    graph = collate([structure], CUTOFF)
    vectors = graph.displacements().requires_grad_()
    energy = Repulsion().double()(graph.with_edge_vectors(vectors)).sum()
    gradient = torch.autograd.grad(energy, vectors)[0]
    forces = torch.zeros(2, 3, dtype=gradient.dtype)
    forces.index_add_(0, graph.receivers, gradient).index_add_(0, graph.senders, -gradient)
    return float(energy.detach()), forces.numpy()


def frames(shards: Path, each: int) -> list[tuple[AtomicStructure, float, np.ndarray]]:
    """Pairs with energy, eV, and forces, eV/Angstrom; those with large forces are left out."""
    references = open_shards(shards).references
    rng, made = np.random.default_rng(0), []
    symbols = elements.symbols(np.nonzero(references.supported)[0])
    for both in combinations_with_replacement(symbols, 2):
        most = FARTHEST_MULTIPLE if set(both) <= MULTIPLE else FARTHEST
        for part in rng.uniform(NEAREST, most, each):
            structure = pair(both, part)
            energy, forces = repulsion(structure)
            if np.abs(forces).max() < MOST_FORCE:
                total = energy + float(references.energies[structure.atomic_numbers].sum())
                made.append((structure, total, forces))
    return made


def write_mptrj(path: Path, shards: Path, each: int) -> None:
    """In the layout of MPtrj_2022.9_full.json, each pair in a box."""
    materials: dict[str, dict[str, dict]] = {}
    for number, (structure, energy, forces) in enumerate(frames(shards, each)):
        crystal = write_crystal(structure.atomic_numbers, structure.positions, BOX * np.eye(3))
        labels = {"uncorrected_total_energy": energy, "force": forces.round(6).tolist()}
        name = "".join(elements.symbols(structure.atomic_numbers))
        frame = {"structure": crystal, **labels, "stress": None}
        materials.setdefault(f"pair-{name}", {})[f"pair-{number}"] = frame
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(json.dumps(materials, separators=(",", ":")).encode())


def write_ani1x(path: Path, shards: Path, each: int) -> None:
    """In the layout of ani1x-release.h5."""
    groups: dict[str, list] = {}
    for structure, energy, forces in frames(shards, each):
        name = elements.formula(structure.atomic_numbers)
        groups.setdefault(name, []).append((structure, energy, forces))
    with h5py.File(path, "w", libver="latest") as file:
        for name, rows in groups.items():
            file[f"{name}/atomic_numbers"] = rows[0][0].atomic_numbers.astype(np.uint8)
            file[f"{name}/coordinates"] = np.array([row[0].positions for row in rows])
            file[f"{name}/wb97x_dz.energy"] = np.array([row[1] for row in rows]) / units.HARTREE
            file[f"{name}/wb97x_dz.forces"] = np.array([row[2] for row in rows]) / units.HARTREE


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--each", type=int, default=2)
    given = parser.parse_args()
    write = write_ani1x if given.output.suffix == ".h5" else write_mptrj
    write(given.output, given.shards, given.each)


if __name__ == "__main__":
    main()

"""Structures of every kind of periodicity, and neighbor lists by brute force to judge others by."""

import itertools

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from hydracalc.graphs.neighbors import Edges

CUTOFF = 5.0


def brute_force(positions, cell, pbc, cutoff):
    """Every (receiver, sender, shift) nearer than the cutoff, by trying all images."""
    box = np.asarray(cell)[np.asarray(pbc, dtype=bool)]
    spread = np.ptp(positions, axis=0) if len(positions) else np.zeros(3)
    reach = cutoff + np.linalg.norm(spread)
    # columns of the pseudo-inverse are as long as 1/height of the cell along each lattice vector
    images = np.zeros(3, dtype=int)
    images[np.asarray(pbc, dtype=bool)] = np.ceil(
        reach * np.linalg.norm(np.linalg.pinv(box), axis=0)
    )
    found = set()
    for shift in itertools.product(*(range(-n, n + 1) for n in images)):
        between = positions[None] - positions[:, None] + np.array(shift) @ np.asarray(cell)
        near = (between**2).sum(axis=-1) < cutoff**2
        if not any(shift):
            np.fill_diagonal(near, False)
        found |= {(int(r), int(s), *shift) for r, s in np.argwhere(near)}
    return found


def as_set(edges: Edges):
    """The same triples of a list of edges."""
    columns = np.column_stack([edges.receivers, edges.senders, edges.cell_shifts])
    return {tuple(row) for row in columns.tolist()}


def _structures():
    rng = np.random.default_rng(3)
    triclinic = Atoms("Cu5", rng.uniform(0, 4, (5, 3)), pbc=True)
    triclinic.cell = [[4.0, 0.3, 0.1], [1.9, 3.6, -0.2], [-1.1, 1.4, 4.4]]
    left_handed = triclinic.copy()
    left_handed.cell = triclinic.cell.array[[1, 0, 2]]
    outside = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    outside.positions += rng.integers(-4, 5, (8, 3)) @ outside.cell.array
    slab = fcc111("Pt", (2, 2, 3), vacuum=4.0)
    slab.pbc = (True, True, False)
    flat_slab = slab.copy()
    flat_slab.cell[2] = 0.0
    wire = Atoms("C3", [[0, 0, 0], [0.4, 1.2, 0], [0.1, 1.8, 1.3]], pbc=(True, False, False))
    wire.cell[0] = [2.6, 0.5, 0.2]
    middle = Atoms("Au2", [[0, 0, 0], [1.2, 0.9, 2.1]], pbc=(False, True, False))
    middle.cell = [[9.0, 0, 0], [1.0, 2.9, 0], [0, 0, 9.0]]
    skewed_vacuum = slab.copy()
    skewed_vacuum.cell[2] = slab.cell.array[2] + 2 * slab.cell.array[0]
    boxed = molecule("CH3CH2OH")
    boxed.center(vacuum=1.0)
    boxed.rattle(0.05, seed=5)
    dense = Atoms("Fe", [[0.3, 0.2, 0.1]], cell=np.eye(3) * 2.5 + 0.1, pbc=True)
    gas = Atoms("Ar60", rng.uniform(0, 15, (60, 3)))
    return {
        "molecule without a cell": molecule("C6H6"),
        "molecule in a box that is not periodic": boxed,
        "many atoms without a cell": gas,
        "isolated atom": Atoms("He"),
        "primitive crystal": bulk("Si"),
        "cell smaller than the cutoff": dense,
        "supercell": bulk("Si", cubic=True) * 2,
        "triclinic": triclinic,
        "left-handed": left_handed,
        "atoms outside the cell": outside,
        "slab": slab,
        "slab without a third lattice vector": flat_slab,
        "slab with skewed vacuum": skewed_vacuum,
        "wire": wire,
        "periodic along the middle vector": middle,
    }


STRUCTURES = _structures()

"""Lengths and force constants of bonds, known for every level of theory: absolute scales of labels.

Ratios of labels to each other cannot see that energies and forces are both in a wrong unit, nor
anything at all where there are only energies.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.structure import AtomicStructure

# heavy atom of a bond to hydrogen: lengths near equilibrium, Angstrom, and force constant,
# eV/Angstrom^2, which 3100, 3400 and 3750 cm^-1 of the harmonic stretch correspond to
STRETCHES = {6: (1.00, 1.20, 31.0), 7: (0.95, 1.12, 41.0), 8: (0.90, 1.08, 50.0)}

_APART = 1.5  # Angstrom, another atom closer than this takes part in the bond
_REACH = 4.0  # in units of the sum of covalent radii: what is farther has no neighbor
_BONDED = 1.25  # in units of the sum of covalent radii: what is nearer is bonded
_FEWEST = 4  # bonds of a kind
_NONE = (np.inf, 0.0, 0.0)

_Kind = tuple[int, int]  # heavy atom, and how many atoms are bonded to it
_Bond = tuple[float, float]  # length, Angstrom, and outward force on hydrogen, eV/Angstrom


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Force constant of bonds to hydrogen, relative to the known one.

    Attributes:
        ratio: measured to known, 1 where forces and lengths are in the right units.
        uncertainty: one standard deviation.
        correlation: of length and force towards the heavy atom; near 1 where bonds are stretched
            more than their surroundings differ, 0 in relaxed molecules.
        num_bonds: how many there are.
    """

    ratio: float
    uncertainty: float
    correlation: float
    num_bonds: int


def scaled_distances(structures: Iterable[AtomicStructure]) -> np.ndarray:
    """Distance of every atom to its nearest neighbor over the sum of their covalent radii.

    Radii are those of Cordero et al., 10.1039/b801115j. Atoms without a neighbor within four times
    the sum count as infinitely far; structures of one open atom are left out.
    """
    nearest = [_nearest(structure) for structure in structures]
    return np.concatenate([np.empty(0), *nearest])


def _nearest(structure: AtomicStructure) -> np.ndarray:
    if structure.num_atoms < 2 and not structure.pbc.any():
        return np.empty(0)
    radii = covalent_radii[structure.atomic_numbers]
    if structure.pbc.any():
        # an atom of a crystal is surely no farther from the next than the cell allows
        room = (abs(np.linalg.det(structure.cell)) / structure.num_atoms) ** (1 / 3)
        cutoff = min(2 * _REACH * float(radii.max()), 2 * room + 0.5)
    else:
        cutoff = 2 * _REACH * float(radii.max())
    edges = neighbor_list(structure.positions, structure.cell, structure.pbc, cutoff)
    lengths = np.linalg.norm(edges.vectors(structure.positions, structure.cell), axis=1)
    nearest = np.full(structure.num_atoms, np.inf)
    scaled = lengths / (radii[edges.senders] + radii[edges.receivers])
    np.minimum.at(nearest, edges.receivers, scaled)
    return nearest


def hydrogen_stretch(structures: Iterable[AtomicStructure]) -> Stretch | None:
    """Force constant of C-H, N-H and O-H bonds, from how the force on H grows with the length.

    It needs no two structures of the same molecule. None where there are too few such bonds.
    """
    found: dict[_Kind, list[_Bond]] = defaultdict(list)
    for structure in structures:
        if structure.forces is not None and structure.num_atoms > 2:
            for kind, bond in _bonds(structure, structure.forces):
                found[kind].append(bond)
    kinds = {kind: np.array(rows) for kind, rows in found.items() if len(rows) >= _FEWEST}
    if not kinds:
        return None
    # each kind has its own equilibrium length; stretches and pulls of all are on one line
    stretches = [
        STRETCHES[heavy][2] * (rows[:, 0] - rows[:, 0].mean()) for (heavy, _), rows in kinds.items()
    ]
    pulls = [rows[:, 1].mean() - rows[:, 1] for rows in kinds.values()]
    return _line(np.concatenate(stretches), np.concatenate(pulls))


def _bonds(structure: AtomicStructure, forces: np.ndarray) -> Iterator[tuple[_Kind, _Bond]]:
    """Every intact bond to hydrogen."""
    positions, numbers = structure.positions, structure.atomic_numbers
    vectors = positions[:, None] - positions
    lengths = np.linalg.norm(vectors, axis=2)
    np.fill_diagonal(lengths, np.inf)
    radii = covalent_radii[numbers]
    bonded = (lengths < _BONDED * (radii[:, None] + radii)).sum(axis=1)
    for hydrogen in np.flatnonzero(numbers == 1):
        heavy, other = np.argpartition(lengths[hydrogen], 1)[:2]
        low, high, _ = STRETCHES.get(int(numbers[heavy]), _NONE)
        length = float(lengths[hydrogen, heavy])
        if low < length < high and lengths[hydrogen, other] > _APART:
            pull = float(forces[hydrogen] @ vectors[hydrogen, heavy]) / length
            yield (int(numbers[heavy]), int(bonded[heavy])), (length, pull)


def _line(stretches: np.ndarray, pulls: np.ndarray) -> Stretch:
    """The line through both, neither of which is free of scatter (reduced major axis)."""
    sizes = float(np.sqrt(stretches @ stretches)), float(np.sqrt(pulls @ pulls))
    if not all(sizes):
        return Stretch(ratio=0.0, uncertainty=np.inf, correlation=0.0, num_bonds=len(pulls))
    correlation = float(stretches @ pulls) / (sizes[0] * sizes[1])
    ratio = float(np.sign(correlation)) * sizes[1] / sizes[0]
    return Stretch(
        ratio=ratio,
        uncertainty=abs(ratio) * float(np.sqrt(max(1 - correlation**2, 0.0) / len(pulls))),
        correlation=correlation,
        num_bonds=len(pulls),
    )

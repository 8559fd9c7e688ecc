"""Do labels obey physics? A wrong unit or sign in an adapter shows in a slope that is not one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from hydracalc.structure import AtomicStructure

_CH_BOND = (1.00, 1.20)  # Angstrom, range of lengths in which the bond is close to harmonic
_APART = 1.5  # Angstrom, another atom closer than this takes part in the bond


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A straight line through the origin.

    Attributes:
        slope: of the second quantity on the first; 1 where they are equal.
        correlation: 1 where all points are on one line.
        num_points: how many there are.
    """

    slope: float
    correlation: float
    num_points: int


def energy_against_work(
    structures: Iterable[AtomicStructure], *, max_displacement: float
) -> Regression:
    """Regress energy differences on the work that forces and stress do between neighbors.

    Between two close arrangements of the same atoms, dE = -F.dx + V stress:strain, F and stress
    being means of both ends (an error of third order in the step). The slope is 1 where energy,
    forces, stress and positions are of one level of theory in matching units and signs.

    Args:
        structures: labelled, several to a group; each is compared with its nearest in the group.
        max_displacement: Angstrom; pairs in which an atom moves further are left out.

    Raises:
        ValueError: fewer than two pairs are that close.
    """
    same: dict[tuple, list[AtomicStructure]] = defaultdict(list)
    for structure in structures:
        same[(structure.group, structure.atomic_numbers.tobytes())].append(structure)
    works, differences = [], []
    for family in same.values():
        for first, second in _neighbors(family):
            if _largest_move(first, second) <= max_displacement:
                works.append(_work(first, second))
                differences.append(_energy(second) - _energy(first))
    if len(works) < 2:
        raise ValueError(
            f"{len(works)} pairs are closer than {max_displacement} A, at least 2 needed"
        )
    work, difference = np.array(works), np.array(differences)
    return Regression(
        slope=float(work @ difference / (work @ work)),
        correlation=float(np.corrcoef(work, difference)[0, 1]),
        num_points=len(works),
    )


def ch_stretch_constant(structures: Iterable[AtomicStructure]) -> float:
    """Force constant of C-H bonds, eV/A^2, from how the force on H grows with the bond's length.

    About 30 for any level of theory; its sign tells forces from gradients, its size Hartree from eV
    and Bohr from Angstrom. Needs no two structures of the same molecule.

    Raises:
        ValueError: fewer than three C-H bonds are near equilibrium.
    """
    lengths, pulls = [], []
    for structure in structures:
        for length, pull in _ch_bonds(structure):
            lengths.append(length)
            pulls.append(pull)
    if len(lengths) < 3:
        raise ValueError(f"{len(lengths)} C-H bonds near equilibrium, at least 3 are needed")
    return -float(np.polyfit(lengths, pulls, 1)[0])


def _ch_bonds(structure: AtomicStructure) -> Iterable[tuple[float, float]]:
    """Length, A, of every intact C-H bond and outward force on its hydrogen, eV/A."""
    numbers, positions, forces = _with_forces(structure)
    if structure.num_atoms < 3:
        return
    for hydrogen in np.nonzero(numbers == 1)[0]:
        bonds = positions[hydrogen] - positions
        lengths = np.linalg.norm(bonds, axis=1)
        _, nearest, second = np.argsort(lengths)[:3]
        length = float(lengths[nearest])
        is_intact = _CH_BOND[0] < length < _CH_BOND[1] and lengths[second] > _APART
        if numbers[nearest] == 6 and is_intact:
            yield length, float(forces[hydrogen] @ bonds[nearest] / length)


def _neighbors(
    family: Sequence[AtomicStructure],
) -> Iterable[tuple[AtomicStructure, AtomicStructure]]:
    """Each pair of nearest structures once; molecules are turned onto each other."""
    family = [_aligned(structure, family[0]) for structure in family]
    if len(family) < 2:
        return []
    # lengths of cell vectors count like positions, so that strained copies are not all "nearest"
    flat = np.array([np.concatenate([s.positions, s.cell]).ravel() for s in family])
    distances = cdist(flat, flat)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    pairs = {(min(i, int(j)), max(i, int(j))) for i, j in enumerate(nearest)}
    return [(family[i], _aligned(family[j], family[i])) for i, j in sorted(pairs)]


def _aligned(structure: AtomicStructure, target: AtomicStructure) -> AtomicStructure:
    """A molecule with its center and orientation on another's; a periodic structure as it is."""
    if structure.pbc.any() or structure is target or structure.num_atoms < 2:
        return structure
    numbers, positions, forces = _with_forces(structure)
    centered = positions - positions.mean(axis=0)
    aim = target.positions - target.positions.mean(axis=0)
    left, _, right = np.linalg.svd(centered.T @ aim)
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left @ proper @ right).T
    return AtomicStructure(
        atomic_numbers=numbers,
        positions=centered @ rotation.T + target.positions.mean(axis=0),
        energy=structure.energy,
        forces=forces @ rotation.T,
        group=structure.group,
    )


def _moves(first: AtomicStructure, second: AtomicStructure) -> np.ndarray:
    """Displacements beyond those of a homogeneous strain, Angstrom, (N, 3)."""
    if not first.pbc.all():
        return second.positions - first.positions
    fractions = [np.linalg.solve(s.cell.T, s.positions.T).T for s in (first, second)]
    moves = fractions[1] - fractions[0]
    return (moves - np.round(moves)) @ (first.cell + second.cell) / 2


def _largest_move(first: AtomicStructure, second: AtomicStructure) -> float:
    edges = np.linalg.norm(second.cell - first.cell, axis=1)
    return float(max(np.linalg.norm(_moves(first, second), axis=1).max(), edges.max()))


def _work(first: AtomicStructure, second: AtomicStructure) -> float:
    """Energy that forces and stress predict the second to have above the first, eV."""
    forces = (_with_forces(first)[2] + _with_forces(second)[2]) / 2
    work = -float((forces * _moves(first, second)).sum())
    if first.stress is not None and second.stress is not None and first.pbc.all():
        # rows are lattice vectors: second cell = first cell @ (1 + strain)
        strain = np.linalg.solve((first.cell + second.cell) / 2, second.cell - first.cell)
        volumes = [abs(float(np.linalg.det(s.cell))) for s in (first, second)]
        stress = (volumes[0] * first.stress + volumes[1] * second.stress) / 2
        work += float((stress * strain).sum())
    return work


def _energy(structure: AtomicStructure) -> float:
    if structure.energy is None:
        raise ValueError(f"structure {structure.source or '(unnamed)'} has no energy")
    return structure.energy


def _with_forces(structure: AtomicStructure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if structure.forces is None:
        raise ValueError(f"structure {structure.source or '(unnamed)'} has no forces")
    return structure.atomic_numbers, structure.positions, structure.forces

"""Structures as numbers that a rotation, another order of atoms or a supercell does not change."""

from math import lcm

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.structure import AtomicStructure

CUTOFF = 6.0  # Angstrom
_START = 0.4  # Angstrom, of the grid
_WIDTH = 0.1  # Angstrom, of the Gaussians and between them
_FINE = 0.02  # Angstrom, of the bins that distances are shared out to
_MOST_COPIES = 2048  # atoms that two structures are repeated to before they are matched

_GRID = np.arange(_START, CUTOFF, _WIDTH)
_BINS = np.arange(round(CUTOFF / _FINE) + 1) * _FINE
_SMOOTHING = np.exp(-0.5 * ((_BINS[:, None] - _GRID) / _WIDTH) ** 2)  # (bins, grid)


def atom_profiles(structure: AtomicStructure) -> np.ndarray:
    """Smooth distribution of the neighbors of each atom by distance, apart for each element.

    It is the sum over neighbors of exp(-(r - r_k)^2 / 2 w^2) f(r) on a grid r_k, f falling smoothly
    to 0 at the cutoff, and changes little if atoms move little. Angles do not enter.

    Returns:
        (N, elements of the structure by atomic number, radii).
    """
    edges = neighbor_list(structure.positions, structure.cell, structure.pbc, CUTOFF)
    vectors = edges.vectors(structure.positions, structure.cell)
    lengths = np.sqrt(np.einsum("ex,ex->e", vectors, vectors))
    kinds, kind_of = np.unique(structure.atomic_numbers, return_inverse=True)
    weights = 0.5 * (1 + np.cos(np.pi * lengths / CUTOFF))
    place = (lengths / _FINE).clip(max=len(_BINS) - 1.001)
    below = place.astype(np.int64)
    share = place - below  # of the bin above, so that nothing jumps
    shape = (structure.num_atoms, len(kinds), len(_BINS))
    places = (edges.receivers * shape[1] + kind_of[edges.senders]) * shape[2] + below
    shared = np.bincount(places, weights * (1 - share), shape[0] * shape[1] * shape[2])
    shared += np.bincount(places + 1, weights * share, len(shared))
    profiles: np.ndarray = shared.reshape(shape) @ _SMOOTHING
    return profiles


def mean_profile(profiles: np.ndarray, atomic_numbers: np.ndarray) -> np.ndarray:
    """Profiles of the atoms of each element added up, per atom of the structure.

    The distance of two mean profiles is at most the `matched_distance`.

    Args:
        profiles: of `atom_profiles`, (N, elements, radii).
        atomic_numbers: (N,).

    Returns:
        float32, (pairs of elements x radii,): comparable for structures of one reduced formula.
    """
    kinds, kind_of = np.unique(atomic_numbers, return_inverse=True)
    sums = np.zeros((len(kinds), *profiles.shape[1:]))
    np.add.at(sums, kind_of, profiles)
    one, other = np.triu_indices(len(kinds))
    # neighbors of a around b are as many as of b around a: kept once, with the weight of both
    weights = np.where(one == other, 1.0, np.sqrt(2.0)) / len(profiles)
    return (sums[one, other] * weights[:, None]).astype(np.float32).ravel()


def matched_distance(
    one: np.ndarray, other: np.ndarray, numbers: tuple[np.ndarray, np.ndarray]
) -> float:
    """Root mean square distance of the profiles of atoms, each with its best partner.

    A structure is repeated where it has fewer atoms than the other. Infinite where that would be
    very many: then neither is a supercell of the other.

    Args:
        one: profiles of a structure, (N, elements, radii).
        other: of one with the same reduced formula, (M, elements, radii).
        numbers: atomic numbers of both, (N,) and (M,).
    """
    total = lcm(len(one), len(other))
    if total > _MOST_COPIES:
        return float("inf")
    squares = 0.0
    for kind in np.unique(numbers[0]):
        rows = one[numbers[0] == kind].reshape((numbers[0] == kind).sum(), -1)
        columns = other[numbers[1] == kind].reshape((numbers[1] == kind).sum(), -1)
        rows = np.repeat(rows, total // len(one), axis=0)
        columns = np.repeat(columns, total // len(other), axis=0)
        costs = cdist(rows, columns, "sqeuclidean")
        squares += float(costs[linear_sum_assignment(costs)].sum())
    return float(np.sqrt(squares / total))


def disturbed(
    structure: AtomicStructure, sigma: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and cell after a random displacement of atoms and of lattice points.

    Args:
        structure: stays as it is.
        sigma: standard deviation of each coordinate, Angstrom.
        rng: source of the displacements.

    Returns:
        positions, Angstrom, (N, 3), and lattice vectors as rows, Angstrom, (3, 3).
    """
    moves = rng.normal(0, sigma, (structure.num_atoms + 3, 3))
    cell = structure.cell + moves[:3] * structure.pbc[:, None]
    positions = structure.positions
    if structure.pbc.all():  # atoms stay where they are in the cell
        positions = positions @ np.linalg.solve(structure.cell, cell)
    return positions + moves[3:], cell

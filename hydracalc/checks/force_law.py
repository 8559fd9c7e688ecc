"""A pair force fitted to the forces of crystals predicts direction and size of their stress.

Where no two structures are close, forces and stress are still derivatives of one energy. A force
between pairs of atoms, one curve for all elements over distance in units of covalent radii, is
fitted to the forces alone. It is crude: of the pressure it knows nothing, since pushes and pulls by
neighbors all around cancel in forces. But in displaced or strained crystals it tells which way the
anisotropic stress points, tension from compression, yz from xy, and eV/A^3 from GPa.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from hydracalc.elements import reduced_formula
from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.structure import AtomicStructure

_KNOTS = np.linspace(0.5, 2.0, 9)  # distance over the sum of covalent radii
_REACH = 2.15  # the last hat function ends a little before
_MOST = 60  # structures, more do not help
_FLOOR = 0.05  # of the median force: structures with less count less
_RCOND = 1e-6
_NOT_ZERO = 0.01  # of the largest component of a stress; less is zero by symmetry
_SHEAR = ((1, 2), (0, 2), (0, 1))  # yz xz xy


@dataclass(frozen=True, kw_only=True)
class StressFromForces:
    """How well the pair force explains forces and the anisotropic part of stress.

    Attributes:
        force_correlation: of fitted and labelled forces.
        alignment: mean cosine between labelled and predicted stress without its pressure; 0 where
            the pair force says nothing of it, negative where one is in the opposite sense.
        ratio: labelled to predicted size of it, median.
        shear_alignments: of yz xz xy as labelled with those predicted, and with the predicted ones
            turned round once and twice, as another order of the components would.
        uncertainty: one standard deviation of the alignment.
        num_structures: how many have a stress that is not a mere pressure.
        num_compositions: different ones among them; displaced atoms of a single lattice do not
            tell how it resists a strain.
    """

    force_correlation: float
    alignment: float
    ratio: float
    shear_alignments: tuple[float, ...]
    uncertainty: float
    num_structures: int
    num_compositions: int


def stress_from_forces(structures: Sequence[AtomicStructure]) -> StressFromForces | None:
    """Fit a pair force to the forces of crystals and predict their stress.

    None where fewer than five crystals have forces and stress, or none of them a force or any
    stress but pressure.
    """
    labelled = [s for s in structures if s.stress is not None and s.forces is not None]
    chosen = [s for s in labelled if s.pbc.all() and s.num_atoms > 1]
    chosen = [
        chosen[i] for i in np.linspace(0, len(chosen) - 1, min(len(chosen), _MOST)).astype(int)
    ]
    forces = [s.forces.ravel() for s in chosen if s.forces is not None]
    sizes = np.array([np.sqrt((force**2).mean()) for force in forces])
    if len(chosen) < 5 or not sizes.any():
        return None
    weights = 1 / (sizes + _FLOOR * np.median(sizes[sizes > 0]))
    columns, responses = zip(*[_responses(structure) for structure in chosen], strict=True)
    matrix = np.concatenate([w * c for w, c in zip(weights, columns, strict=True)])
    target = np.concatenate([w * f for w, f in zip(weights, forces, strict=True)])
    law = np.linalg.lstsq(matrix, target, rcond=_RCOND)[0]
    predicted = np.array([response @ law for response in responses])
    stresses = np.array([s.stress for s in chosen if s.stress is not None])
    compositions = np.array([reduced_formula(s.atomic_numbers) for s in chosen])
    return _compared(predicted, stresses, compositions, _correlation(matrix @ law, target))


def _responses(structure: AtomicStructure) -> tuple[np.ndarray, np.ndarray]:
    """Forces (3N, K) and stress (3, 3, K) that each hat function of the pair force makes."""
    radii = covalent_radii[structure.atomic_numbers]
    cutoff = 2 * _REACH * float(radii.max())
    edges = neighbor_list(structure.positions, structure.cell, structure.pbc, cutoff)
    vectors = edges.vectors(structure.positions, structure.cell)
    lengths = np.linalg.norm(vectors, axis=1)
    sums = radii[edges.senders] + radii[edges.receivers]
    near = lengths < _REACH * sums
    vectors, lengths, sums = vectors[near], lengths[near], sums[near]
    spacing = _KNOTS[1] - _KNOTS[0]
    hats = np.clip(1 - np.abs((lengths / sums)[:, None] - _KNOTS) / spacing, 0, None)
    hats /= sums[:, None]  # softer bonds are longer
    directions = vectors / lengths[:, None]
    forces = np.zeros((structure.num_atoms, 3, len(_KNOTS)))
    np.add.at(forces, edges.receivers[near], -directions[:, :, None] * hats[:, None, :])
    virial = -np.einsum("ea,eb,ek->abk", vectors, directions, hats) / 2
    volume = abs(float(np.linalg.det(structure.cell)))
    return forces.reshape(-1, len(_KNOTS)), virial / volume


def _compared(
    predicted: np.ndarray,
    stresses: np.ndarray,
    compositions: np.ndarray,
    force_correlation: float,
) -> StressFromForces | None:
    sizes = np.abs(stresses).max(axis=(1, 2))
    predicted, stresses = _anisotropic(predicted), _anisotropic(stresses)
    present = np.abs(stresses).max(axis=(1, 2)) > _NOT_ZERO * sizes
    present &= predicted.any(axis=(1, 2))
    if not present.any():
        return None
    predicted, stresses = predicted[present], stresses[present]
    cosines = _cosines(predicted, stresses)
    shears = [np.stack([s[:, a, b] for a, b in _SHEAR], axis=1) for s in (predicted, stresses)]
    turned = [_cosines(np.roll(shears[0], turn, axis=1), shears[1]).mean() for turn in range(3)]
    lengths = [np.linalg.norm(s, axis=(1, 2)) for s in (predicted, stresses)]
    return StressFromForces(
        force_correlation=force_correlation,
        alignment=float(cosines.mean()),
        ratio=float(np.median(lengths[1] / lengths[0])),
        shear_alignments=tuple(float(alignment) for alignment in turned),
        uncertainty=float(cosines.std() / np.sqrt(len(cosines))),
        num_structures=len(cosines),
        num_compositions=len(np.unique(compositions[present])),
    )


def _anisotropic(stresses: np.ndarray) -> np.ndarray:
    """Stress without its pressure, (S, 3, 3)."""
    pressures = np.trace(stresses, axis1=1, axis2=2) / 3
    return stresses - pressures[:, None, None] * np.eye(3)


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of the angles between the arrays of each structure, 0 where one of them is zero, (S,)."""
    first, second = first.reshape(len(first), -1), second.reshape(len(second), -1)
    sizes = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.where(sizes == 0, 1.0, sizes)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if size else 0.0

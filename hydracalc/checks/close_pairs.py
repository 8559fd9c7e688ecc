"""Energy differences of nearly equal structures against the work that their forces and stress do.

Between two close arrangements of the same atoms, dE = -F.dx + V stress:strain, F and stress being
means of both ends. The three parts, forces, normal stress and shear stress, are regressed together:
each coefficient is 1 where energy, forces, stress and positions are of one potential energy
surface in matching units and signs.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hydracalc.structure import AtomicStructure

PARTS = ("forces", "normal stress", "shear stress")

_FARTHEST = 0.25  # Angstrom
_STRAINED_LENGTH = 3.0  # Angstrom
_ALIKE = 0.2  # change of a lattice vector relative to its length; the rest is not looked at
_NEAREST = 2  # neighbors of each structure that are taken
_LARGEST_FAMILY = 128  # structures of the same atoms that are compared with each other, fewer
_MOST_ATOMS = 1_000_000  # where their pairs have more atoms than this
# the mean of both ends errs in third order: about this much of the second order, per Angstrom
# moved (a Morse bond of usual width has 6 / Angstrom for the ratio of third and second derivative)
_ANHARMONICITY = 1.0  # 1 / Angstrom
_RELATIVE_NOISE = 0.02  # of a pair's own work
_BASE_NOISE = 0.02  # of the median work of all pairs
_TUKEY = 4.685  # standard deviations beyond which a pair does not count
_MEDIAN = 1.4826  # standard deviations of a normal distribution in its median absolute deviation
_ITERATIONS = 30
_FEW = 1e-9  # relative size of what is nothing but rounding
_SHARE = 0.1  # of what all parts explain of a difference
_USUAL = 0.6  # scatter over expected error; 0.1 to 0.7 in most datasets
_SPARE = 4  # pairs beyond the number of coefficients, from which their scatter is judged


@dataclass(frozen=True, kw_only=True, eq=False)
class ClosePairs:
    """Pairs of nearly equal structures.

    Attributes:
        indices: of both in the structures that were given, int64, (P, 2).
        differences: energy of the second above the first, eV, (P,).
        works: what forces, normal and shear stress predict for it, eV, (P, 3).
        errors: size of what the prediction neglects, eV, (P,), up to a common factor.
    """

    indices: np.ndarray
    differences: np.ndarray
    works: np.ndarray
    errors: np.ndarray

    def __len__(self) -> int:
        return len(self.differences)


_NO_PAIRS = ClosePairs(
    indices=np.empty((0, 2), dtype=np.int64),
    differences=np.empty(0),
    works=np.empty((0, 3)),
    errors=np.empty(0),
)


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """How much of one part of the work the energies contain; 1 where labels agree.

    Attributes:
        value: coefficient.
        uncertainty: one standard deviation.
        bias: how far it would be off were the neglected part of every pair in the sense of its
            work, as the softening of a hot crystal is when it expands.
        num_pairs: pairs in which the part explains a tenth of the difference or more.
    """

    value: float
    uncertainty: float
    bias: float
    num_pairs: int


def close_pairs(
    structures: Iterable[AtomicStructure], *, farthest: float = _FARTHEST
) -> ClosePairs:
    """Pairs of labelled structures of the same atoms, charge and spin that are nearly equal.

    Molecules are turned onto each other first. Structures without energy or forces are left out.

    Args:
        structures: labelled.
        farthest: Angstrom that an atom, or the end of a strained 3 Angstrom, may move.
    """
    families: dict[tuple, list[int]] = defaultdict(list)
    structures = list(structures)
    for index, structure in enumerate(structures):
        labelled = structure.energy is not None and structure.forces is not None
        if labelled and structure.num_atoms:
            families[_kind(structure)].append(index)
    found = [_NO_PAIRS]
    for members in families.values():
        num_atoms = structures[members[0]].num_atoms
        most = min(_LARGEST_FAMILY, int(np.sqrt(2 * _MOST_ATOMS / num_atoms)))
        family = np.array(members[:most])
        if len(family) > 1:
            pairs = _pairs_of([structures[index] for index in family], farthest)
            found.append(replace(pairs, indices=family[pairs.indices]))
    return ClosePairs(
        **{
            name: np.concatenate([getattr(pairs, name) for pairs in found])
            for name in ("indices", "differences", "works", "errors")
        }
    )


def _kind(structure: AtomicStructure) -> tuple:
    return (
        structure.atomic_numbers.tobytes(),
        structure.total_charge,
        structure.spin_multiplicity,
        structure.pbc.tobytes(),
        structure.stress is None,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Steps:
    """From the first to the second structure of every pair of a family.

    Attributes:
        first, second: indices, (P,).
        moves: beyond those of the strain, Angstrom, (P, N, 3).
        forces: of both ends in the frame of the first, eV/Angstrom, (2, P, N, 3).
        strains: (P, 3, 3).
    """

    first: np.ndarray
    second: np.ndarray
    moves: np.ndarray
    forces: np.ndarray
    strains: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Largest move or strained length, Angstrom, (P,)."""
        moved = np.linalg.norm(self.moves, axis=2).max(axis=1)
        return np.maximum(moved, _STRAINED_LENGTH * np.abs(self.strains).max(axis=(1, 2)))

    def rows(self, keep: np.ndarray) -> "_Steps":
        return _Steps(
            first=self.first[keep],
            second=self.second[keep],
            moves=self.moves[keep],
            forces=self.forces[:, keep],
            strains=self.strains[keep],
        )


def _pairs_of(family: Sequence[AtomicStructure], farthest: float) -> ClosePairs:
    steps = _periodic_steps(family) if family[0].pbc.any() else _open_steps(family)
    steps = steps.rows(steps.lengths < farthest)
    steps = steps.rows(_nearest(steps))
    energies = np.array([structure.energy for structure in family])
    start, end = steps.forces
    work = -((start + end) / 2 * steps.moves).sum(axis=(1, 2))
    neglected = np.abs((end - start) * steps.moves).sum(axis=(1, 2)) / 2
    works = np.stack([work, np.zeros_like(work), np.zeros_like(work)], axis=1)
    if family[0].stress is not None:
        stresses = np.array([_volume(s) * s.stress for s in family if s.stress is not None])
        start, end = stresses[steps.first], stresses[steps.second]
        strained = (start + end) / 2 * steps.strains
        works[:, 1] = np.trace(strained, axis1=1, axis2=2)
        works[:, 2] = strained.sum(axis=(1, 2)) - works[:, 1]
        neglected += np.abs((end - start) * steps.strains).sum(axis=(1, 2)) / 2
    return ClosePairs(
        indices=np.stack([steps.first, steps.second], axis=1),
        differences=energies[steps.second] - energies[steps.first],
        works=works,
        errors=_ANHARMONICITY * neglected * steps.lengths,
    )


def _volume(structure: AtomicStructure) -> float:
    return abs(float(np.linalg.det(structure.cell)))


def _open_steps(family: Sequence[AtomicStructure]) -> _Steps:
    """Molecules, the second turned onto the first [Kabsch, 10.1107/S0567739476001873]."""
    first, second = np.triu_indices(len(family), 1)
    positions = np.array([structure.positions for structure in family])
    forces = np.array([structure.forces for structure in family])
    centered = positions - positions.mean(axis=1, keepdims=True)
    covariance = np.einsum("pni,pnj->pij", centered[second], centered[first])
    left, _, right = np.linalg.svd(covariance)
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]  # no mirror images
    rotation = left @ right
    return _Steps(
        first=first,
        second=second,
        moves=centered[second] @ rotation - centered[first],
        forces=np.array([forces[first], forces[second] @ rotation]),
        strains=np.zeros((len(first), 3, 3)),
    )


def _periodic_steps(family: Sequence[AtomicStructure]) -> _Steps:
    """Crystals and slabs, along the shortest way through periodic borders."""
    cells = np.array([_full_cell(structure) for structure in family])
    first, second = np.triu_indices(len(family), 1)
    edges = np.linalg.norm(cells, axis=2)
    change = np.linalg.norm(cells[first] - cells[second], axis=2) / edges[first]
    alike = change.max(axis=1) < _ALIKE
    first, second = first[alike], second[alike]
    forces = np.array([structure.forces for structure in family])
    fractions = np.array(
        [
            np.linalg.solve(cell.T, structure.positions.T).T
            for cell, structure in zip(cells, family, strict=True)
        ]
    )
    moves = fractions[second] - fractions[first]
    moves -= np.round(moves) * family[0].pbc
    mean_cells = (cells[first] + cells[second]) / 2
    moves = moves @ mean_cells
    if family[0].pbc.all():
        moves -= moves.mean(axis=1, keepdims=True)
    # rows are lattice vectors: second cell = first cell @ (1 + strain)
    strains = np.linalg.solve(mean_cells, cells[second] - cells[first])
    return _Steps(
        first=first,
        second=second,
        moves=moves,
        forces=np.array([forces[first], forces[second]]),
        strains=strains,
    )


def _full_cell(structure: AtomicStructure) -> np.ndarray:
    """The cell, with unit vectors across it where a direction is open and has none."""
    cell = structure.cell.copy()
    absent = ~cell.any(axis=1)
    if absent.any():
        across = np.linalg.svd(cell[~absent])[2][len(cell[~absent]) :]
        cell[absent] = across
    return cell


def _nearest(steps: _Steps) -> np.ndarray:
    """Indices of pairs, those with the nearest of each structure."""
    taken: set[int] = set()
    counts: dict[int, int] = defaultdict(int)
    for pair in np.argsort(steps.lengths, kind="stable").tolist():
        for structure in (int(steps.first[pair]), int(steps.second[pair])):
            if counts[structure] < _NEAREST:
                counts[structure] += 1
                taken.add(pair)
    return np.array(sorted(taken), dtype=np.int64)


def regress(pairs: ClosePairs) -> dict[str, Coefficient]:
    """Coefficient of each part of the work in the energy differences; parts without work have none.

    Least squares with Tukey's biweight, begun at least absolute deviations, so that pairs on
    different electronic states, a fifth of some relaxations, do not decide.
    """
    sizes = np.abs(pairs.works).sum(axis=1)
    present = np.abs(pairs.works).max(axis=0, initial=0.0) > _FEW * sizes.max(initial=0.0)
    if len(pairs) < present.sum() or not present.any():
        return {}
    noise = _BASE_NOISE * np.median(sizes)
    weights = 1 / np.sqrt(pairs.errors**2 + (_RELATIVE_NOISE * sizes) ** 2 + noise**2)
    columns = pairs.works[:, present] * weights[:, None]
    values, deviations, biases = _robust(columns, pairs.differences * weights)
    # a part in too small a unit shows in its coefficient, one without meaning in the work itself
    parts = np.abs(pairs.works[:, present] * values)
    most = np.maximum(parts, np.abs(pairs.works[:, present]))
    shares = most > _SHARE * parts.sum(axis=1, keepdims=True)
    return {
        PARTS[part]: Coefficient(
            value=float(values[column]),
            uncertainty=float(deviations[column]),
            bias=float(biases[column]),
            num_pairs=int(shares[:, column].sum()),
        )
        for column, part in enumerate(np.flatnonzero(present))
    }


def _robust(columns: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, their standard deviations and largest biases: what most pairs agree on.

    Of two solutions, one found from labels that agree and one from least absolute deviations, the
    one with the smaller median residual is taken [least median of squares, 10.2307/2288718].
    """
    agreeing = np.ones(columns.shape[1])
    deviating = agreeing
    for _ in range(_ITERATIONS):
        residuals = np.abs(target - columns @ deviating)
        smallest = _FEW * residuals.max() + np.finfo(float).tiny
        deviating = _least_squares(columns, target, 1 / (residuals + smallest))
    solutions = [_biweight(columns, target, start) for start in (agreeing, deviating)]
    scale, values, weights = min(solutions, key=lambda solution: solution[0])
    curvature = (columns * weights[:, None]).T @ columns
    deviations = scale * np.sqrt(np.diag(np.linalg.pinv(curvature)))
    biases = scale * (weights @ np.abs(columns)) / np.diag(curvature)
    return values, deviations, biases


def _biweight(
    columns: np.ndarray, target: np.ndarray, values: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale of the residuals, coefficients and weights, iterated from a start."""
    freedom = len(target) - columns.shape[1]
    least = 0.0 if freedom >= _SPARE else _USUAL
    for _ in range(_ITERATIONS):
        residuals = np.abs(target - columns @ values)
        spread = _MEDIAN * float(np.median(residuals)) * np.sqrt(len(target) / max(freedom, 1))
        scale = max(spread, least, np.finfo(float).tiny)
        weights = np.clip(1 - (residuals / (_TUKEY * scale)) ** 2, 0, None) ** 2
        values = _least_squares(columns, target, weights)
    return scale, values, weights


def _least_squares(columns: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    root = np.sqrt(weights)
    return np.linalg.lstsq(columns * root[:, None], target * root, rcond=None)[0]

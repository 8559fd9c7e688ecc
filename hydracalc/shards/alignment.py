"""References of several branches on one footing, so that interaction energies can be compared.

Fitted references take the average binding of a dataset with them, so what is left of an energy
beyond them means something else in every branch. Here they are shifted, element by element, such
that interaction energies of different branches agree where the data say that they should:

- where isolated-atom energies of both levels of theory are published, references differ by exactly
  the difference of those;
- where both have structures of one composition, both periodic or both not and near rest, the
  interaction energies per atom of the lowest ones are equal, as well as all of them can be;
- otherwise references stay near the fitted ones.

All of it is one linear least-squares problem for the shifts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hydracalc import elements
from hydracalc.references import References
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import OFFSETS, SPLITS, StructureTable

# of the conditions on shifts: published atoms decide, shared compositions come second
_ATOM_WEIGHT = 1e3
_STAY_WEIGHT = 1e-2  # per eV

# a structure is near rest, within some 50 meV/atom of it, if nothing exceeds these
_CALM_FORCE = 1.0  # eV/A, root mean square over the atoms
_CALM_PRESSURE = 0.06  # eV/A^3, 10 GPa

_Key = tuple[bool, bytes]


@dataclass(frozen=True, kw_only=True, eq=False)
class BranchEnergies:
    """What is known of a branch's energies.

    Attributes:
        name: of the branch.
        references: fitted, eV.
        isolated_atoms: published energies of free atoms, eV, by symbol.
        lowest: lowest energy per atom of a structure near rest, eV, of every composition in lowest
            terms; the key is whether the structure is periodic, and the composition.
    """

    name: str
    references: References
    isolated_atoms: Mapping[str, float]
    lowest: Mapping[_Key, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """References on one footing.

    Attributes:
        references: of each branch, eV.
        num_shared: compositions that two branches have in common, by their names.
        before, after: root mean square difference of the interaction energies of those, eV/atom;
            0 where there are none.
        by_atoms: elements of each pair of branches that published atoms tie.
    """

    references: dict[str, References]
    num_shared: dict[tuple[str, str], int]
    before: dict[tuple[str, str], float]
    after: dict[tuple[str, str], float]
    by_atoms: dict[tuple[str, str], tuple[str, ...]]

    def tied(self) -> list[set[str]]:
        """Branches that are on one footing with each other, directly or through others."""
        groups = [{name} for name in self.references]
        for pair in self.num_shared:
            if self.num_shared[pair] or self.by_atoms[pair]:
                first, second = (next(g for g in groups if name in g) for name in pair)
                if first is not second:
                    groups.remove(second)
                    first |= second
        return groups


def collect_energies(shards: Shards) -> BranchEnergies:
    """Lowest energy of every composition of the training split, one shard in memory at a time."""
    lowest: dict[_Key, float] = {}
    for table in shards.tables():
        chosen = table.rows((table.splits == SPLITS.index("train")) & _near_rest(table))
        energies = (chosen.arrays["energy"] / chosen.num_atoms).tolist()
        for key, energy in zip(_keys(chosen), energies, strict=True):
            lowest[key] = min(energy, lowest.get(key, np.inf))
    return BranchEnergies(
        name=shards.branch,
        references=shards.references,
        isolated_atoms=shards.card.isolated_atoms,
        lowest=lowest,
    )


def _near_rest(table: StructureTable) -> np.ndarray:
    """Structures with an energy and small forces and pressure, as far as they are known; (S,)."""
    forces = np.nan_to_num(table.arrays["forces"])
    squares = np.add.reduceat((forces**2).sum(axis=1), table.arrays[OFFSETS][:-1])
    pressure = np.abs(np.trace(np.nan_to_num(table.arrays["stress"]), axis1=1, axis2=2)) / 3
    calm = (squares / table.num_atoms <= _CALM_FORCE**2) & (pressure <= _CALM_PRESSURE)
    return np.asarray(calm & np.isfinite(table.arrays["energy"]))


def _keys(table: StructureTable) -> list[_Key]:
    """Whether periodic, and composition in lowest terms, of each structure."""
    numbers, bounds = table.arrays["atomic_numbers"], table.arrays[OFFSETS].tolist()
    keys = []
    for index, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        counts = elements.composition(numbers[start:stop])
        composition = (counts // np.gcd.reduce(counts)).tobytes()
        keys.append((bool(table.arrays["pbc"][index].any()), composition))
    return keys


def align(branches: Sequence[BranchEnergies]) -> Alignment:
    """Shift the references of branches onto one footing.

    A branch that nothing ties to another keeps its fitted references. The zero common to all stays
    where the fitted references have it on average, so training targets remain small.

    Args:
        branches: at least one, each name once.
    """
    problem = _Problem(branches)
    for first, second in combinations(range(len(branches)), 2):
        problem.tie(first, second)
    shifts = problem.solve()
    moved = {
        branch.name: References(branch.references.energies + shifts[index])
        for index, branch in enumerate(branches)
    }
    still = {branch.name: branch.references for branch in branches}
    pairs = list(combinations(branches, 2))
    names = [(first.name, second.name) for first, second in pairs]
    return Alignment(
        references=moved,
        num_shared={name: len(_shared(*pair)) for name, pair in zip(names, pairs, strict=True)},
        before={n: _difference(*pair, still) for n, pair in zip(names, pairs, strict=True)},
        after={n: _difference(*pair, moved) for n, pair in zip(names, pairs, strict=True)},
        by_atoms={n: _common_atoms(*pair) for n, pair in zip(names, pairs, strict=True)},
    )


class _Problem:
    """Rows of the least-squares problem for one shift per branch and element."""

    def __init__(self, branches: Sequence[BranchEnergies]) -> None:
        self._branches = branches
        self._places = [
            (index, int(z))
            for index, branch in enumerate(branches)
            for z in np.flatnonzero(branch.references.supported)
        ]
        self._column = {place: column for column, place in enumerate(self._places)}
        self._rows: list[np.ndarray] = []
        self._targets: list[float] = []

    def tie(self, first: int, second: int) -> None:
        """Add what published atoms and shared compositions say of two branches."""
        one, other = self._branches[first], self._branches[second]
        for symbol in _common_atoms(one, other):
            z = elements.number(symbol)
            apart = _atom_shift(one, symbol) - _atom_shift(other, symbol)
            self._add({(first, z): 1.0, (second, z): -1.0}, -apart, _ATOM_WEIGHT)
        shared = _shared(one, other)
        for key, apart in shared.items():
            fractions = _fractions(key)
            entries = {(first, z): x for z, x in fractions.items()}
            entries |= {(second, z): -x for z, x in fractions.items()}
            self._add(entries, apart, 1 / np.sqrt(len(shared)))

    def _add(self, entries: dict[tuple[int, int], float], target: float, weight: float) -> None:
        row = np.zeros(len(self._places))
        for place, value in entries.items():
            row[self._column[place]] = weight * value
        self._rows.append(row)
        self._targets.append(weight * target)

    def solve(self) -> np.ndarray:
        """Shift of every element in every branch, eV, (B, 119)."""
        stay = _STAY_WEIGHT * np.eye(len(self._places))
        rows = np.concatenate([np.array(self._rows).reshape(-1, len(self._places)), stay])
        targets = np.concatenate([self._targets, np.zeros(len(self._places))])
        solution, *_ = np.linalg.lstsq(rows, targets, rcond=None)
        shifts = np.zeros((len(self._branches), elements.NUM_ELEMENTS))
        for (index, z), shift in zip(self._places, solution, strict=True):
            shifts[index, z] = shift
        return shifts


def _common_atoms(one: BranchEnergies, other: BranchEnergies) -> tuple[str, ...]:
    """Elements whose free atoms both publish, and of which both have references."""
    common = set(one.isolated_atoms) & set(other.isolated_atoms)
    numbers = sorted(elements.number(symbol) for symbol in common)
    known = one.references.supported & other.references.supported
    return tuple(elements.symbol(z) for z in numbers if known[z])


def _atom_shift(branch: BranchEnergies, symbol: str) -> float:
    """How far a fitted reference is above the free atom, eV."""
    fitted = branch.references.energies[elements.number(symbol)]
    return float(fitted - branch.isolated_atoms[symbol])


def _shared(one: BranchEnergies, other: BranchEnergies) -> dict[_Key, float]:
    """Compositions that both have.

    Returns:
        For each, how far the interaction energy of the first is above that of the second with
        fitted references, eV/atom.
    """
    return {
        key: _interaction(one, key, one.references) - _interaction(other, key, other.references)
        for key in sorted(one.lowest.keys() & other.lowest.keys())
    }


def _interaction(branch: BranchEnergies, key: _Key, references: References) -> float:
    baseline = sum(x * references.energies[z] for z, x in _fractions(key).items())
    return float(branch.lowest[key] - baseline)


def _difference(
    one: BranchEnergies, other: BranchEnergies, references: Mapping[str, References]
) -> float:
    """Root mean square difference of interaction energies of shared compositions, eV/atom."""
    differences = [
        _interaction(one, key, references[one.name])
        - _interaction(other, key, references[other.name])
        for key in _shared(one, other)
    ]
    return float(np.sqrt(np.mean(np.square(differences)))) if differences else 0.0


def _fractions(key: _Key) -> dict[int, float]:
    """Atomic fraction of each element of a composition."""
    counts = np.frombuffer(key[1], dtype=np.int64)
    return {int(z): float(counts[z] / counts.sum()) for z in np.flatnonzero(counts)}

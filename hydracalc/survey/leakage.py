"""How much a test split gives away: how near its structures are to those that train.

The stored split, which keeps groups together, is compared with a random one of equal sizes. Where
the random one has many near duplicates, or a predictor that only looks up the nearest training
structure does well on it, errors measured on it would say little about new structures.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from hydracalc.ingest.radial_profile import atom_profiles, matched_distance
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import SPLITS
from hydracalc.survey.leakage_entries import Entry, LeakageConfig, choose, examine

_TRAIN, _TEST = SPLITS.index("train"), SPLITS.index("test")
_BLOCK = 2**22  # distances in memory at a time
_ROUNDING = 1e-5  # relative, of distances between profiles in single precision
_CANDIDATES = 8  # nearest profiles of a structure whose atoms are matched with its own


@dataclass(frozen=True, kw_only=True)
class SplitLeakage:
    """How near the test structures of one split are to its training structures.

    Attributes:
        num_train, num_test: structures.
        same_group: test structures whose group also trains.
        same_composition: whose reduced formula also trains.
        exact_duplicates: whose atoms, cell, charge and spin also train, bit for bit.
        near_duplicates: that differ from a training structure by no more than the tolerance;
            exact ones included.
        nearest_energy_mae_eV_per_atom: error of the normalized energy of the nearest training
            structure of the same composition, or else of the mean over the structures of the
            nearest composition; None without energies.
        baseline_mae_eV_per_atom: error of the mean normalized energy of the training structures.
    """

    num_train: int
    num_test: int
    same_group: int
    same_composition: int
    exact_duplicates: int
    near_duplicates: int
    nearest_energy_mae_eV_per_atom: float | None  # noqa: N815  # the unit's spelling
    baseline_mae_eV_per_atom: float | None  # noqa: N815


@dataclass(frozen=True, kw_only=True)
class LeakageReport:
    """The stored split against a random one.

    Attributes:
        branch: dataset.
        num_structures: in the shards.
        num_examined: of them.
        seed, rattle: as in the configuration.
        stored, random: what each split gives away.
    """

    branch: str
    num_structures: int
    num_examined: int
    seed: int
    rattle: float
    stored: SplitLeakage
    random: SplitLeakage

    @property
    def optimism(self) -> float | None:
        """Error of the nearest neighbor on the stored split over that on the random split."""
        stored = self.stored.nearest_energy_mae_eV_per_atom
        random = self.random.nearest_energy_mae_eV_per_atom
        return None if not stored or not random else stored / random


def measure_leakage(shards: Shards, config: LeakageConfig | None = None) -> LeakageReport:
    """Compare the stored split with a random one, one shard in memory at a time.

    Raises:
        ValueError: the stored split has no test or no training structure, or none is among those
            that are looked at.
    """
    config = config or LeakageConfig()
    rng = np.random.default_rng(config.seed)
    for side in (_TRAIN, _TEST):
        if not (shards.splits == side).any():
            raise ValueError(f"{shards.path}: no structure in the {SPLITS[side]} split")
    dealt = rng.permutation(shards.splits)
    chosen = choose(shards, config)
    entries = examine(shards, chosen, dealt, config)
    stored, random = (_leakage(entries, split, shards) for split in (0, 1))
    return LeakageReport(
        branch=shards.branch,
        num_structures=len(shards),
        num_examined=len(entries),
        seed=config.seed,
        rattle=config.rattle,
        stored=stored,
        random=random,
    )


def _leakage(entries: list[Entry], split: int, shards: Shards) -> SplitLeakage:
    """What one of both splits gives away.

    Raises:
        ValueError: no test or no training structure is among the entries.
    """
    train = [entry for entry in entries if entry.sides[split] == _TRAIN]
    test = [entry for entry in entries if entry.sides[split] == _TEST]
    if not train or not test:
        raise ValueError(
            f"{shards.path}: of {len(entries)} structures looked at, {len(train)} train and "
            f"{len(test)} test; raise max_structures"
        )
    predicted, counts = _look_up(train, test, shards)
    labels = np.array([entry.energy for entry in test])
    known = np.isfinite(labels) & np.isfinite(predicted)
    mean = _mean_energy(train)
    groups, marks = {entry.group for entry in train}, {entry.mark for entry in train}
    return SplitLeakage(
        num_train=len(train),
        num_test=len(test),
        same_group=sum(entry.group in groups for entry in test),
        same_composition=counts["same composition"],
        exact_duplicates=sum(entry.mark in marks for entry in test),
        near_duplicates=counts["near"],
        nearest_energy_mae_eV_per_atom=_mean_absolute(labels[known] - predicted[known]),
        baseline_mae_eV_per_atom=_mean_absolute(labels[known] - mean),
    )


def _look_up(
    train: list[Entry], test: list[Entry], shards: Shards
) -> tuple[np.ndarray, Counter[str]]:
    """Energy that the nearest training structure suggests for each test structure, eV/atom, (T,).

    Also how many test structures share a composition with one that trains, and how many are near.
    """
    families: dict[int, list[Entry]] = {}
    for entry in train:
        families.setdefault(entry.family, []).append(entry)
    wanted: dict[int, list[int]] = {}
    for index, entry in enumerate(test):
        wanted.setdefault(entry.family, []).append(index)
    counts: Counter[str] = Counter()
    predicted = _by_composition(families, test)
    for family, indices in wanted.items():
        if family not in families:
            continue
        known, asked = families[family], [test[index] for index in indices]
        nearest = _nearest(
            np.stack([entry.profile for entry in known]),
            np.stack([entry.profile for entry in asked]),
            min(_CANDIDATES, len(known)),
        )
        counts["same composition"] += len(indices)
        for index, entry, places in zip(indices, asked, nearest, strict=True):
            predicted[index] = known[places[0]].energy
            counts["near"] += _is_near(entry, [known[place] for place in places], shards)
    return predicted, counts


def _nearest(known: np.ndarray, wanted: np.ndarray, number: int) -> np.ndarray:
    """The nearest rows, nearest first: indices, (T, number).

    Args:
        known: (K, D).
        wanted: (T, D).
        number: at most K.
    """
    squares = np.einsum("kd,kd->k", known, known)
    nearest = np.empty((len(wanted), number), dtype=np.int64)
    rows = max(_BLOCK // len(known), 1)
    for start in range(0, len(wanted), rows):
        block = slice(start, start + rows)
        distances = squares - 2 * wanted[block] @ known.T
        places = np.argpartition(distances, number - 1, axis=1)[:, :number]
        order = np.argsort(np.take_along_axis(distances, places, axis=1), axis=1, kind="stable")
        nearest[block] = np.take_along_axis(places, order, axis=1)
    return nearest


def _is_near(entry: Entry, candidates: list[Entry], shards: Shards) -> bool:
    """Whether a structure is within its tolerance of a candidate, atoms matched one to one."""
    tolerance = entry.tolerance + _ROUNDING * float(np.linalg.norm(entry.profile))
    rows = [
        candidate.row
        for candidate in candidates
        if np.linalg.norm(candidate.profile - entry.profile) <= tolerance
    ]
    if not rows:
        return False
    structure, *others = shards.read([entry.row, *rows])
    profiles, numbers = atom_profiles(structure), structure.atomic_numbers
    return any(
        matched_distance(profiles, atom_profiles(other), (numbers, other.atomic_numbers))
        <= tolerance
        for other in others
    )


def _by_composition(families: dict[int, list[Entry]], test: list[Entry]) -> np.ndarray:
    """Mean energy of the structures of the nearest composition, eV/atom, (T,)."""
    known = list(families.values())
    nearest = _nearest(
        np.stack([_fractions(members[0]) for members in known]),
        np.stack([_fractions(entry) for entry in test]),
        1,
    )
    means = [_mean_energy(members) for members in known]
    return np.array([means[index] for index in nearest[:, 0]])


def _fractions(entry: Entry) -> np.ndarray:
    return entry.composition / entry.composition.sum()


def _mean_energy(entries: list[Entry]) -> float:
    energies = np.array([entry.energy for entry in entries])
    finite = energies[np.isfinite(energies)]
    return float(finite.mean()) if len(finite) else float("nan")


def _mean_absolute(values: np.ndarray) -> float | None:
    return float(np.abs(values).mean()) if len(values) else None

"""What is kept of structures while splits of them are compared: bounded, whatever their number."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from hydracalc import references
from hydracalc.ingest.radial_profile import (
    atom_profiles,
    disturbed,
    matched_distance,
    mean_profile,
)
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import SPLITS, StructureTable
from hydracalc.structure import AtomicStructure
from hydracalc.survey.compositions import distinct_compositions

_TEST = SPLITS.index("test")
_DISTURBANCES = 3  # of each structure, to measure what the tolerance is


@dataclass(frozen=True, kw_only=True)
class LeakageConfig:
    """What counts as near, and how much is looked at.

    Attributes:
        rattle: a pair is a near duplicate if it differs no more than a structure does from itself
            after so large a random displacement of its atoms and lattice points, standard
            deviation of a coordinate, Angstrom.
        max_structures: looked at; of larger sets, some compositions are chosen at random and taken
            whole, and if a single one has more, some of its structures.
        seed: of the random split, of that choice, and of the displacements.

    Raises:
        ValueError: a number is not positive.
    """

    rattle: float = 0.02
    max_structures: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.rattle > 0:
            raise ValueError(f"rattle is {self.rattle}, expected a positive number of Angstrom")
        if self.max_structures < 2:
            raise ValueError(f"max_structures is {self.max_structures}, expected at least 2")


@dataclass(frozen=True, eq=False)
class Entry:
    """What is kept of one structure.

    Attributes:
        row: place in the shards.
        profile: `mean_profile`.
        tolerance: `matched_distance` that counts as near; 0 where it is tested in no split.
        energy: normalized, eV/atom, with references of all examined structures; NaN without one.
        mark: hash of its atoms.
        group: hash of its group.
        family: hash of its reduced formula.
        composition: atoms of each element, int32, (119,).
        sides: in the stored and in the random split, indices into SPLITS.
    """

    row: int
    profile: np.ndarray
    tolerance: float
    energy: float
    mark: bytes
    group: bytes
    family: int
    composition: np.ndarray
    sides: tuple[int, int]


def choose(shards: Shards, config: LeakageConfig) -> np.ndarray:
    """Which structures are looked at, bool, (S,)."""
    if len(shards) <= config.max_structures:
        return np.ones(len(shards), dtype=bool)
    families = np.concatenate([_families(table) for table in shards.tables()])
    distinct, index, counts = np.unique(families, return_inverse=True, return_counts=True)
    rng = np.random.default_rng([config.seed, 1])
    order = rng.permutation(len(distinct))
    total = np.cumsum(counts[order])
    taken = max(int(np.searchsorted(total, config.max_structures, side="right")), 1)
    keep = np.zeros(len(distinct), dtype=bool)
    keep[order[:taken]] = True
    chosen = keep[index]
    if chosen.sum() > config.max_structures:  # a single composition
        places = rng.permutation(np.flatnonzero(chosen))[: config.max_structures]
        chosen[:] = False
        chosen[places] = True
    return chosen


def _families(table: StructureTable) -> np.ndarray:
    """Hash of each structure's reduced formula, uint64, (S,)."""
    found = distinct_compositions(table)
    return found.reduced_hashes[found.index]


def examine(
    shards: Shards, chosen: np.ndarray, dealt: np.ndarray, config: LeakageConfig
) -> list[Entry]:
    """What is kept of the chosen structures."""
    entries: list[Entry] = []
    first = 0
    for table in shards.tables():
        rows = np.arange(first, first + len(table))
        first += len(table)
        if not chosen[rows].any():
            continue
        table, rows = table.rows(chosen[rows]), rows[chosen[rows]]
        found = distinct_compositions(table)
        for index, row in enumerate(rows):
            sides = (int(shards.splits[row]), int(dealt[row]))
            structure = table.structure(index)
            profiles = atom_profiles(structure)
            rng = np.random.default_rng([config.seed, 2, int(row)])
            is_tested = _TEST in sides
            entries.append(
                Entry(
                    row=int(row),
                    profile=mean_profile(profiles, structure.atomic_numbers),
                    tolerance=_tolerance(structure, profiles, config.rattle, rng)
                    if is_tested
                    else 0,
                    energy=np.nan if structure.energy is None else structure.energy,
                    mark=_mark(structure),
                    group=_hash(structure.group.encode()),
                    family=int(found.reduced_hashes[found.index[index]]),
                    composition=found.counts[found.index[index]],
                    sides=sides,
                )
            )
    return _normalized(entries)


def _normalized(entries: list[Entry]) -> list[Entry]:
    """The entries with normalized energies: on one scale in both splits."""
    labelled = [entry for entry in entries if np.isfinite(entry.energy)]
    if not labelled:
        return entries
    fitted = references.fit(
        np.array([entry.composition for entry in labelled]),
        np.array([entry.energy for entry in labelled]),
    )
    atoms = np.nan_to_num(fitted.energies)  # those of other elements are multiplied by 0
    return [
        replace(entry, energy=(entry.energy - entry.composition @ atoms) / entry.composition.sum())
        for entry in entries
    ]


def _tolerance(
    structure: AtomicStructure, profiles: np.ndarray, sigma: float, rng: np.random.Generator
) -> float:
    """How far a structure gets from itself by a random displacement, on average."""
    numbers = structure.atomic_numbers
    distances = []
    for _ in range(_DISTURBANCES):
        positions, cell = disturbed(structure, sigma, rng)
        moved = atom_profiles(replace(structure, positions=positions, cell=cell))
        distances.append(matched_distance(profiles, moved, (numbers, numbers)))
    return float(np.mean(distances))


def _mark(structure: AtomicStructure) -> bytes:
    about = f"{structure.total_charge} {structure.spin_multiplicity} {structure.pbc.tolist()}"
    names = ("atomic_numbers", "positions", "cell")
    return _hash(about.encode(), *(getattr(structure, name).tobytes() for name in names))


def _hash(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()

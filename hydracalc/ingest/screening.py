"""Finds structures that would teach a model nothing or something wrong, and says why."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from hydracalc.fields import FIELDS
from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.kernels.overlap_loops import closest_pairs
from hydracalc.shards.table import OFFSETS, StructureTable, from_structures
from hydracalc.structure import AtomicStructure

NO_ATOMS = "no atoms"
NOT_FINITE = "non-finite number"
NO_ENERGY = "no energy"
FLAT_CELL = "periodic cell without volume"
LARGE_FORCE = "force above limit"
OVERLAP = "overlapping atoms"
DUPLICATE = "duplicate"
RELABELLED = "duplicate with another energy"
REASONS = (
    NO_ATOMS,
    NOT_FINITE,
    NO_ENERGY,
    LARGE_FORCE,
    FLAT_CELL,
    OVERLAP,
    DUPLICATE,
    RELABELLED,
)

KEPT = -1


@dataclass(frozen=True, kw_only=True)
class ScreenConfig:
    """What is left out.

    Attributes:
        max_force: largest norm of the force on an atom, eV/Angstrom; None sets no limit.
        min_distance: smallest distance of two atoms, as a fraction of the sum of their covalent
            radii; 0 sets no limit.
        duplicates: whether only the first of several structures with equal atoms is kept.

    Raises:
        ValueError: a limit is not positive.
    """

    max_force: float | None = 100.0
    min_distance: float = 0.4  # published crystals under pressure reach 0.44
    duplicates: bool = True

    def __post_init__(self) -> None:
        if self.max_force is not None and not self.max_force > 0:
            raise ValueError(f"max_force is {self.max_force}, expected a positive number")
        if not 0 <= self.min_distance < 1:
            raise ValueError(f"min_distance is {self.min_distance}, expected 0 to below 1")


class Screen:
    """Judges structures one table after another, and remembers which atoms it has seen.

    It remembers about 100 bytes of each structure.
    """

    def __init__(self, config: ScreenConfig, *, remember: int | None = None) -> None:
        """Nothing is seen yet.

        Args:
            config: what is left out.
            remember: copies further apart than so many structures may be missed; None finds all.
        """
        self._config = config
        self._remember = remember
        self._seen: dict[int, float] = {}

    def reason_to_drop(self, structure: AtomicStructure) -> str | None:
        """Why a structure is left out; None if it is kept."""
        table = from_structures(structure.branch, [structure], [-1])
        reason = int(self.judge(table, fingerprints(table))[0])
        return None if reason == KEPT else REASONS[reason]

    def judge(self, table: StructureTable, marks: np.ndarray) -> np.ndarray:
        """Why each structure is left out.

        Args:
            table: structures; NaN stands for an absent label, so it is no defect in one.
            marks: their `fingerprints`.

        Returns:
            Index into REASONS, or KEPT, int64, (S,).
        """
        reasons = _unusable(table)
        self._extreme_forces(table, reasons)
        self._too_near(table, reasons)
        if self._config.duplicates:
            self._repeated(table, marks, reasons)
        return reasons

    def _extreme_forces(self, table: StructureTable, reasons: np.ndarray) -> None:
        limit = self._config.max_force
        if limit is not None:
            above = (table.arrays["forces"] ** 2).sum(axis=1) > limit**2
            _set(reasons, _any_atom(table, above), LARGE_FORCE)

    def _too_near(self, table: StructureTable, reasons: np.ndarray) -> None:
        fraction = self._config.min_distance
        if fraction == 0:
            return
        arrays, wanted = table.arrays, reasons == KEPT
        radii = covalent_radii[arrays["atomic_numbers"]]
        is_open = ~arrays["pbc"].any(axis=1)
        closest = closest_pairs(arrays[OFFSETS], arrays["positions"], radii, wanted & is_open)
        _set(reasons, closest < fraction**2, OVERLAP)
        for index in np.flatnonzero(wanted & ~is_open):
            start, stop = arrays[OFFSETS][index : index + 2]
            reason = _crowded(
                arrays["positions"][start:stop],
                arrays["cell"][index],
                arrays["pbc"][index],
                fraction * radii[start:stop],
            )
            if reason is not None:
                reasons[index] = REASONS.index(reason)

    def _repeated(self, table: StructureTable, marks: np.ndarray, reasons: np.ndarray) -> None:
        """Finds where a model would get the same input again, bit for bit."""
        if self._remember is not None and len(self._seen) > self._remember:
            self._seen.clear()
        candidates = np.flatnonzero(reasons == KEPT)
        energies = table.arrays["energy"][candidates].tolist()
        for index, mark, energy in zip(
            candidates, marks[candidates].tolist(), energies, strict=True
        ):
            if mark in self._seen:
                reason = DUPLICATE if self._seen[mark] == energy else RELABELLED
                reasons[index] = REASONS.index(reason)
            else:
                self._seen[mark] = energy


def _set(reasons: np.ndarray, found: np.ndarray, reason: str) -> None:
    """Give a reason to structures that have none yet."""
    reasons[found & (reasons == KEPT)] = REASONS.index(reason)


def _any_atom(table: StructureTable, flags: np.ndarray) -> np.ndarray:
    """Structures of which at least one atom is flagged, bool, (S,)."""
    return _count(table, flags) > 0


def _count(table: StructureTable, flags: np.ndarray) -> np.ndarray:
    """How many atoms of each structure are flagged, (S,)."""
    offsets = table.arrays[OFFSETS]
    total = np.concatenate([[0], np.cumsum(flags)])
    return total[offsets[1:]] - total[offsets[:-1]]


def _unusable(table: StructureTable) -> np.ndarray:
    reasons = np.full(len(table), KEPT)
    _set(reasons, table.num_atoms == 0, NO_ATOMS)
    for field in FIELDS.values():
        values = table.arrays[field.name]
        if values.dtype.kind != "f":
            continue
        rows = values.reshape(len(values), math.prod(values.shape[1:]))
        bad = ~np.isfinite(rows).all(axis=1)
        if not field.required:  # nothing but NaN is an absent label
            absent = np.isnan(rows).all(axis=1)
            if field.is_per_atom:
                absent = np.repeat(_count(table, absent) == table.num_atoms, table.num_atoms)
            bad &= ~absent
        _set(reasons, _any_atom(table, bad) if field.is_per_atom else bad, NOT_FINITE)
    _set(reasons, np.isnan(table.arrays["energy"]), NO_ENERGY)
    return reasons


def _crowded(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, reaches: np.ndarray
) -> str | None:
    """Whether atoms overlap, also across the boundary of the cell.

    Args:
        positions: Angstrom, (N, 3).
        cell: Angstrom, (3, 3).
        pbc: bool, (3,).
        reaches: two atoms may not be nearer than the sum of theirs, Angstrom, (N,).
    """
    try:
        edges = neighbor_list(positions, cell, pbc, 2 * reaches.max())
    except ValueError:  # the numbers are finite, so it is the cell
        return FLAT_CELL
    distances = np.linalg.norm(edges.vectors(positions, cell), axis=1)
    allowed = reaches[edges.senders] + reaches[edges.receivers]
    return OVERLAP if (distances < allowed).any() else None


def fingerprints(table: StructureTable) -> np.ndarray:
    """64-bit hash of what a model sees: atoms, cell, charge and multiplicity, uint64, (S,)."""
    arrays, count = table.arrays, len(table)
    # adding zero makes -0.0 and 0.0 one number
    atoms = [arrays["atomic_numbers"], arrays["positions"] + 0.0]
    rest = [arrays["cell"] + 0.0, arrays["pbc"].astype(np.int64)]
    rest += [arrays["total_charge"], arrays["spin_multiplicity"]]
    columns = [np.ascontiguousarray(part).reshape(count, -1).view(np.uint8) for part in rest]
    numbers, positions = (part.reshape(-1).view(np.uint8).data for part in atoms)
    frames = np.concatenate(columns, axis=1)
    frame, width = frames.reshape(-1).data, frames.shape[1]
    bounds = arrays[OFFSETS].tolist()
    marks = np.empty(count, dtype=np.uint64)
    for index in range(count):
        start, stop = 8 * bounds[index], 8 * bounds[index + 1]
        digest = hashlib.blake2b(numbers[start:stop], digest_size=8)
        digest.update(positions[3 * start : 3 * stop])
        digest.update(frame[width * index : width * (index + 1)])
        marks[index] = int.from_bytes(digest.digest())
    return marks

"""Finds structures that would teach a model nothing or something wrong, and says why."""

import hashlib
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from hydracalc.fields import FIELDS
from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.structure import AtomicStructure

NO_ATOMS = "no atoms"
NOT_FINITE = "non-finite number"
NO_ENERGY = "no energy"
FLAT_CELL = "periodic cell without volume"
LARGE_FORCE = "force above limit"
OVERLAP = "overlapping atoms"
DUPLICATE = "duplicate"
RELABELLED = "duplicate with another energy"


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
    """Judges structures one after another, and remembers which atoms it has seen.

    It remembers about 100 bytes of each structure.
    """

    def __init__(self, config: ScreenConfig) -> None:
        self._config = config
        self._seen: dict[int, float] = {}

    def reason_to_drop(self, structure: AtomicStructure) -> str | None:
        """Why a structure is left out; None if it is kept."""
        return (
            _unusable(structure)
            or self._extreme_force(structure)
            or self._too_near(structure)
            or self._repeated(structure)
        )

    def _extreme_force(self, structure: AtomicStructure) -> str | None:
        limit = self._config.max_force
        if limit is None or structure.forces is None:
            return None
        norms = np.linalg.norm(structure.forces, axis=1)
        return LARGE_FORCE if norms.max() > limit else None

    def _too_near(self, structure: AtomicStructure) -> str | None:
        fraction = self._config.min_distance
        radii = covalent_radii[structure.atomic_numbers]
        if fraction == 0:
            return None
        try:
            edges = neighbor_list(
                structure.positions, structure.cell, structure.pbc, 2 * fraction * radii.max()
            )
        except ValueError:  # the numbers are finite, so it is the cell
            return FLAT_CELL
        distances = np.linalg.norm(edges.vectors(structure.positions, structure.cell), axis=1)
        allowed = fraction * (radii[edges.senders] + radii[edges.receivers])
        return OVERLAP if (distances < allowed).any() else None

    def _repeated(self, structure: AtomicStructure) -> str | None:
        """Whether a model would get the same input again, bit for bit."""
        if not self._config.duplicates:
            return None
        energy = structure.energy or 0.0
        fingerprint = _fingerprint(structure)
        if fingerprint not in self._seen:
            self._seen[fingerprint] = energy
            return None
        return DUPLICATE if self._seen[fingerprint] == energy else RELABELLED


def _unusable(structure: AtomicStructure) -> str | None:
    if structure.num_atoms == 0:
        return NO_ATOMS
    for name in FIELDS:
        value = getattr(structure, name)
        if value is not None and not np.isfinite(value).all():
            return NOT_FINITE
    return NO_ENERGY if structure.energy is None else None


def _fingerprint(structure: AtomicStructure) -> int:
    """64-bit hash of what a model sees: atoms, cell, charge and multiplicity."""
    digest = hashlib.blake2b(digest_size=8)
    for name, field in FIELDS.items():
        if field.required:
            value = np.asarray(getattr(structure, name))
            # adding zero makes -0.0 and 0.0 one number
            digest.update((value + 0.0 if value.dtype.kind == "f" else value).tobytes())
    return int.from_bytes(digest.digest())

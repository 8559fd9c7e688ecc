"""Makes structures worth labelling out of given ones: rattled, strained, from dynamics, dimers.

Each child is drawn from a stream of its own, named by the seed, its parent's name and its number:
equal settings give equal bits, whoever makes which child, and a larger count adds to a smaller one.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import ClassVar, Protocol

import numpy as np
from ase.data import covalent_radii

from hydracalc import elements
from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.structure import AtomicStructure

OVERLAP = "overlapping atoms"

_ATTEMPTS = 20  # at a child without overlapping atoms, before it is given up


class Generator(Protocol):
    """Makes children of a parent, each by its number alone."""

    kind: ClassVar[str]

    @property
    def num_children(self) -> int:
        """Of every parent, before any are left out."""
        ...

    def children(
        self, parent: AtomicStructure, numbers: range, dropped: Counter[str]
    ) -> Iterator[AtomicStructure]:
        """Some of the children, unlabelled, with the parent's group.

        Args:
            parent: with a source that no other parent has.
            numbers: of the wanted ones, out of range(num_children).
            dropped: counts those that cannot be made, by reason.

        Raises:
            ValueError: there is no such child of this parent.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class AsGiven:
    """The parents themselves."""

    kind: ClassVar[str] = "as given"

    @property
    def num_children(self) -> int:
        """One, itself."""
        return 1

    def children(
        self, parent: AtomicStructure, numbers: range, dropped: Counter[str]
    ) -> Iterator[AtomicStructure]:
        """The parent."""
        for _ in numbers:
            yield parent


@dataclass(frozen=True, kw_only=True)
class Rattle:
    """Atoms moved at random, light bonds less than heavy ones.

    Attributes:
        sigma: standard deviation of each coordinate, as a fraction of the atom's covalent radius.
        count: children of each parent.
        seed: another one moves them otherwise.
        min_distance: smallest distance of two atoms, as a fraction of the sum of their covalent
            radii; a child with a smaller one is drawn again, at last left out and counted.

    Raises:
        ValueError: a number is out of its range.
    """

    kind: ClassVar[str] = "rattled"

    sigma: float = 0.08
    count: int = 10
    seed: int = 0
    min_distance: float = 0.6

    def __post_init__(self) -> None:
        _positive(sigma=self.sigma, count=self.count)
        _fraction(min_distance=self.min_distance)

    @property
    def num_children(self) -> int:
        """As many as are asked for."""
        return self.count

    def children(
        self, parent: AtomicStructure, numbers: range, dropped: Counter[str]
    ) -> Iterator[AtomicStructure]:
        """Children by number."""
        widths = self.sigma * covalent_radii[parent.atomic_numbers][:, None]
        for number in numbers:
            rng = _stream(self.seed, self.kind, parent.source, number)
            for _ in range(_ATTEMPTS):
                moved = parent.positions + widths * rng.standard_normal(parent.positions.shape)
                child = child_of(parent, f"{self.kind}-{number:04d}", positions=moved)
                if not overlaps(child, self.min_distance):
                    yield child
                    break
            else:
                dropped[OVERLAP] += 1


@dataclass(frozen=True, kw_only=True)
class Strain:
    """Cells deformed, atoms with them: at random including shear, and in even steps of volume.

    A slab or wire is strained along its periodic directions alone.

    Attributes:
        max_strain: largest component of a strain.
        count: random strains of each parent.
        volumes: steps of equal strain along all periodic directions, from -max_strain to
            max_strain.
        seed: another one strains otherwise.
        min_distance: as for `Rattle`.

    Raises:
        ValueError: a number is out of its range.
    """

    kind: ClassVar[str] = "strained"

    max_strain: float = 0.05
    count: int = 10
    volumes: int = 5
    seed: int = 0
    min_distance: float = 0.6

    def __post_init__(self) -> None:
        _fraction(max_strain=self.max_strain, min_distance=self.min_distance)
        _positive(max_strain=self.max_strain, children=self.count + self.volumes)
        if min(self.count, self.volumes) < 0:
            raise ValueError(
                f"count is {self.count} and volumes {self.volumes}, expected at least 0"
            )

    @property
    def num_children(self) -> int:
        """The random ones, then the steps of volume."""
        return self.count + self.volumes

    def children(
        self, parent: AtomicStructure, numbers: range, dropped: Counter[str]
    ) -> Iterator[AtomicStructure]:
        """Children by number.

        Raises:
            ValueError: the parent is not periodic.
        """
        if not parent.pbc.any():
            raise ValueError(
                f"structure {parent.source} is not periodic, so it cannot be strained; "
                "expected a crystal, slab or wire"
            )
        periodic = parent.cell[parent.pbc]
        within = np.linalg.pinv(periodic) @ periodic  # projects onto the periodic directions
        for number in numbers:
            name, strain = self._strain(parent, number)
            deformation = np.eye(3) + within @ strain @ within
            child = child_of(
                parent,
                name,
                positions=parent.positions @ deformation,
                cell=parent.cell @ deformation,
            )
            if overlaps(child, self.min_distance):
                dropped[OVERLAP] += 1
            else:
                yield child

    def _strain(self, parent: AtomicStructure, number: int) -> tuple[str, np.ndarray]:
        """Name of a child and its symmetric strain, (3, 3)."""
        if number >= self.count:
            step = number - self.count
            steps = np.linspace(-self.max_strain, self.max_strain, self.volumes)
            return f"volume-{step:04d}", steps[step] * np.eye(3)
        rng = _stream(self.seed, self.kind, parent.source, number)
        drawn = rng.uniform(-self.max_strain, self.max_strain, (3, 3))
        return f"{self.kind}-{number:04d}", np.tril(drawn) + np.tril(drawn, -1).T


@dataclass(frozen=True, kw_only=True)
class Dimers:
    """Two atoms in free space at distances from repulsion to nearly none.

    Parents come from `dimer_parents`.

    Attributes:
        count: distances, in equal ratios.
        shortest, longest: as multiples of the sum of the covalent radii.

    Raises:
        ValueError: a number is out of its range.
    """

    kind: ClassVar[str] = "dimers"

    count: int = 20
    shortest: float = 0.7
    longest: float = 3.0

    def __post_init__(self) -> None:
        _positive(count=self.count, shortest=self.shortest)
        if not self.longest > self.shortest:
            raise ValueError(f"longest is {self.longest}, expected more than {self.shortest}")

    @property
    def num_children(self) -> int:
        """Distances."""
        return self.count

    def children(
        self, parent: AtomicStructure, numbers: range, dropped: Counter[str]
    ) -> Iterator[AtomicStructure]:
        """Children by number.

        Raises:
            ValueError: the parent has not two atoms.
        """
        if parent.num_atoms != 2:
            raise ValueError(f"structure {parent.source} has {parent.num_atoms} atoms, expected 2")
        bond = float(covalent_radii[parent.atomic_numbers].sum())
        distances = bond * np.geomspace(self.shortest, self.longest, self.count)
        for number in numbers:
            positions = np.zeros((2, 3))
            positions[1, 0] = distances[number]
            yield child_of(parent, f"dimer-{number:04d}", positions=positions)


def dimer_parents(symbols: Sequence[str]) -> list[AtomicStructure]:
    """Every pair of some elements, each also with itself, neutral.

    The spin multiplicity is 1 for an even number of electrons and 2 for an odd one, which is not
    the ground state of every pair (O2 has 3): where that matters, give structures with the right
    `atoms.info["spin"]` instead.

    Args:
        symbols: of the elements, each once or more.

    Raises:
        ValueError: a symbol is no element's, or there is none.
    """
    numbers = sorted({elements.number(symbol) for symbol in symbols})
    if not numbers:
        raise ValueError("dimers need at least one element, got none")
    parents = []
    for pair in combinations_with_replacement(numbers, 2):
        name = "-".join(elements.symbol(z) for z in pair)
        positions = np.zeros((2, 3))
        positions[1, 0] = covalent_radii[list(pair)].sum()
        parents.append(
            AtomicStructure(
                atomic_numbers=np.array(pair),
                positions=positions,
                spin_multiplicity=1 + sum(pair) % 2,
                group=name,
                source=name,
            )
        )
    return parents


def overlaps(structure: AtomicStructure, fraction: float) -> bool:
    """Whether two atoms are nearer than a fraction of the sum of their covalent radii."""
    radii = covalent_radii[structure.atomic_numbers]
    reach = 2 * fraction * float(radii.max())
    if reach == 0:
        return False
    edges = neighbor_list(structure.positions, structure.cell, structure.pbc, reach)
    lengths = np.linalg.norm(edges.vectors(structure.positions, structure.cell), axis=1)
    return bool((lengths < fraction * (radii[edges.senders] + radii[edges.receivers])).any())


def stream_seed(seed: int, *names: str | int) -> int:
    """Seed of a stream of random numbers, from a seed and what the stream is for."""
    text = "\n".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest())


def _stream(seed: int, *names: str | int) -> np.random.Generator:
    return np.random.default_rng(stream_seed(seed, *names))


def child_of(
    parent: AtomicStructure,
    name: str,
    *,
    positions: np.ndarray,
    cell: np.ndarray | None = None,
) -> AtomicStructure:
    """The parent's atoms elsewhere: its group, charge and spin stay, its labels do not.

    Args:
        parent: with a source.
        name: of the child, beside its siblings.
        positions: Angstrom, (N, 3).
        cell: lattice vectors as rows, Angstrom, (3, 3); None is the parent's.
    """
    return replace(
        parent,
        positions=positions,
        cell=parent.cell if cell is None else cell,
        energy=None,
        forces=None,
        stress=None,
        split=None,
        source=f"{parent.source}/{name}",
    )


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}, expected a positive number")


def _fraction(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} is {value}, expected 0 to below 1")

"""Structures of growing size to measure on: benzene, and supercells of one crystal."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.md.velocitydistribution import thermalize_momenta

BENZENE = 12  # atoms, the size that stands for the molecule
CELL = 8  # atoms of every crystal's cell below; larger sizes are multiples of it
MAX_SIZE = 100_000  # atoms
TEMPERATURE = 300.0  # K, of the first velocities

# displacements of all atoms from rest, standard deviation, Angstrom
_RATTLE = {"molecule": 0.02, "crystal": 0.05}


@dataclass(frozen=True, kw_only=True, eq=False)
class System:
    """One structure of a series.

    Attributes:
        name: formula.
        atoms: off rest, moving.
        timestep: that its lightest atoms allow, fs.
    """

    name: str
    atoms: Atoms
    timestep: float

    @property
    def num_atoms(self) -> int:
        """N."""
        return len(self.atoms)


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Structures of growing size.

    Attributes:
        systems: by size.
        left_out: reason by name, for those that the model cannot describe.
    """

    systems: tuple[System, ...]
    left_out: dict[str, str]


# cells of CELL atoms; the first one that a model knows is taken
_CRYSTALS: dict[str, Callable[[], Atoms]] = {
    "Si": lambda: bulk("Si", "diamond", a=5.43, cubic=True),
    "Ge": lambda: bulk("Ge", "diamond", a=5.66, cubic=True),
    "NaCl": lambda: bulk("NaCl", "rocksalt", a=5.64, cubic=True),
    "MgO": lambda: bulk("MgO", "rocksalt", a=4.21, cubic=True),
    "Al": lambda: bulk("Al", "fcc", a=4.05, cubic=True) * (2, 1, 1),
    "Cu": lambda: bulk("Cu", "fcc", a=3.61, cubic=True) * (2, 1, 1),
    "Ni": lambda: bulk("Ni", "fcc", a=3.52, cubic=True) * (2, 1, 1),
    "C": lambda: bulk("C", "diamond", a=3.57, cubic=True),
}
_FIRST = next(iter(_CRYSTALS))


def parse_sizes(text: str) -> tuple[int, ...]:
    """Numbers of atoms as written on the command line, "12,64,216", in ascending order.

    Raises:
        ValueError: one is no whole number, or no structure here has as many atoms.
    """
    sizes = []
    for word in text.split(","):
        try:
            sizes.append(int(word))
        except ValueError:
            raise ValueError(
                f"size {word.strip()!r} is no number of atoms, expected e.g. 12,64,216"
            ) from None
    check_sizes(sizes)
    return tuple(sorted(set(sizes)))


def check_sizes(sizes: Sequence[int]) -> None:
    """Make sure that there is a structure of every size.

    Raises:
        ValueError: there is none; the message says which sizes there are.
    """
    if not sizes:
        raise ValueError("sizes are empty, expected at least one number of atoms")
    for size in sizes:
        if size != BENZENE and (size < CELL or size % CELL or size > MAX_SIZE):
            raise ValueError(
                f"size {size}: expected {BENZENE} (benzene) or a multiple of {CELL} "
                f"(crystal) up to {MAX_SIZE} atoms"
            )


def series(sizes: Sequence[int], known: Collection[int]) -> Series:
    """Structures of these sizes, of elements that a model knows.

    Args:
        sizes: numbers of atoms; 12 is benzene, all others are supercells of one crystal.
        known: atomic numbers that the model describes.

    Raises:
        ValueError: there is no structure of a size, or the model knows none of the structures.
    """
    check_sizes(sizes)
    systems, left_out = [], {}
    crystal = _known_crystal(known)
    if crystal not in (None, _FIRST) and set(sizes) != {BENZENE}:
        left_out[_FIRST] = f"the model does not know {_FIRST}; crystals are {crystal} instead"
    for size in sizes:
        if size == BENZENE:
            system = benzene()
            missing = _missing(system.atoms, known)
            if missing:
                left_out["C6H6"] = f"the model does not know {missing}"
                continue
        elif crystal is None:
            left_out[f"crystal of {size}"] = f"the model knows none of {', '.join(_CRYSTALS)}"
            continue
        else:
            system = supercell(crystal, size)
        systems.append(system)
    if not systems:
        raise ValueError(f"no structure to measure on: {left_out}")
    return Series(systems=tuple(systems), left_out=left_out)


def benzene(seed: int = 0) -> System:
    """A molecule in vacuum."""
    atoms = _moving(molecule("C6H6"), _RATTLE["molecule"], seed)
    return System(name="C6H6", atoms=atoms, timestep=0.5)


def supercell(crystal: str, num_atoms: int, seed: int = 0) -> System:
    """A crystal of this many atoms, as near to a cube as they allow.

    Args:
        crystal: one of those above.
        num_atoms: multiple of 8.
        seed: of displacements and velocities.
    """
    atoms = _CRYSTALS[crystal]() * repeats(num_atoms // CELL)
    elements = len(set(atoms.numbers))
    units = num_atoms // elements
    return System(
        name=f"{crystal}{units}" if elements == 1 else f"({crystal}){units}",
        atoms=_moving(atoms, _RATTLE["crystal"], seed),
        timestep=1.0,
    )


def repeats(count: int) -> tuple[int, int, int]:
    """Three whole numbers with this product, as equal as they can be."""
    triples = [
        (a, b, count // (a * b))
        for a in range(1, round(count ** (1 / 3)) + 2)
        if count % a == 0
        for b in range(a, int((count // a) ** 0.5) + 1)
        if count // a % b == 0
    ]
    return min(triples, key=lambda triple: triple[2] - triple[0])


def _known_crystal(known: Collection[int]) -> str | None:
    return next((name for name, make in _CRYSTALS.items() if not _missing(make(), known)), None)


def _missing(atoms: Atoms, known: Collection[int]) -> str:
    """Elements of a structure that a model does not know, in words; empty if it knows all."""
    return ", ".join(
        sorted({s for s, z in zip(atoms.symbols, atoms.numbers, strict=True) if z not in known})
    )


def _moving(atoms: Atoms, amplitude: float, seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms.positions += rng.normal(0, amplitude, atoms.positions.shape)
    thermalize_momenta(atoms, TEMPERATURE, rng=rng)
    return atoms

"""One labelled arrangement of atoms: what adapters produce and shards keep."""

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms

from hydracalc import elements, fields


@dataclass(frozen=True, kw_only=True, eq=False)
class AtomicStructure:
    """Atoms, cell and labels as one dataset published them, in hydracalc units.

    Attributes:
        atomic_numbers: nuclear charge Z, int64, (N,).
        positions: Cartesian coordinates, Angstrom, (N, 3).
        cell: lattice vectors as rows, Angstrom, (3, 3); zero rows are open directions.
        pbc: periodic directions, bool, (3,).
        total_charge: charge of the whole structure, e.
        spin_multiplicity: 2S + 1 of the whole structure; 1 where the source does not state it.
        energy: total energy including the atomic baseline, eV; None if unlabelled.
        forces: -dE/dr, eV/Angstrom, (N, 3); None if the source has none.
        stress: (1/V) dE/d(strain), ASE sign, eV/Angstrom^3, (3, 3); None if the source has none.
        branch: dataset whose level of theory made the labels.
        group: structures that share it never sit on both sides of a split.
        split: "train", "val" or "test" where the dataset publishes its own split, else None.
        source: the structure's own name in its dataset, for messages.

    Raises:
        ValueError: a field is missing or has a wrong shape, or an atomic number is no element.
    """

    atomic_numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray = field(default_factory=lambda: np.zeros((3, 3)))
    pbc: np.ndarray = field(default_factory=lambda: np.zeros(3, dtype=bool))
    total_charge: int = 0
    spin_multiplicity: int = 1
    energy: float | None = None
    forces: np.ndarray | None = None
    stress: np.ndarray | None = None
    branch: str = ""
    group: str = ""
    split: str | None = None
    source: str = ""

    def __post_init__(self) -> None:
        num_atoms = len(self.atomic_numbers)
        for name in fields.FIELDS:
            try:
                value = fields.checked(name, getattr(self, name), num_atoms)
            except ValueError as error:
                raise ValueError(f"structure {self.source or '(unnamed)'}: {error}") from None
            object.__setattr__(self, name, value)
        numbers = self.atomic_numbers
        if num_atoms and not (numbers.min() >= 1 and numbers.max() <= elements.MAX_ATOMIC_NUMBER):
            bad = sorted({int(z) for z in numbers if not 1 <= z <= elements.MAX_ATOMIC_NUMBER})
            name = self.source or "(unnamed)"
            raise ValueError(f"structure {name}: atomic_numbers {bad} are no elements (1..118)")

    @property
    def num_atoms(self) -> int:
        """Number of atoms, N."""
        return len(self.atomic_numbers)

    @property
    def formula(self) -> str:
        """Composition as text, equal for equal compositions."""
        return elements.formula(self.atomic_numbers)


def from_atoms(atoms: Atoms, *, branch: str = "", source: str = "") -> AtomicStructure:
    """The structure of an ASE Atoms object, without labels.

    Charge and spin multiplicity are `atoms.info["charge"]` and `atoms.info["spin"]` (2S + 1).

    Raises:
        ValueError: charge or spin is not a whole number, or spin is below 1.
    """
    return AtomicStructure(
        atomic_numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=atoms.pbc,
        total_charge=_whole_number(atoms, "charge", 0),
        spin_multiplicity=_whole_number(atoms, "spin", 1, lowest=1),
        branch=branch,
        source=source,
    )


def _whole_number(atoms: Atoms, key: str, default: int, lowest: int | None = None) -> int:
    value = atoms.info.get(key, default)
    try:
        whole = int(value)
    except (TypeError, ValueError):
        whole = None
    if whole is None or whole != value or (lowest is not None and whole < lowest):
        allowed = "a whole number" if lowest is None else f"a whole number of at least {lowest}"
        raise ValueError(f"atoms.info[{key!r}] is {value!r}, expected {allowed}")
    return whole

"""What users hand over as a structure: ASE Atoms, pymatgen objects, files of any common format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms

from hydracalc.structure import AtomicStructure, from_atoms

# ASE Atoms, pymatgen Structure or Molecule, or AtomicStructure
StructureLike: TypeAlias = Any


def as_structure(given: StructureLike, *, source: str = "") -> AtomicStructure:
    """The structure of an object of ASE, pymatgen or hydracalc; the object is not changed.

    Args:
        given: ASE Atoms, pymatgen Structure or Molecule, or AtomicStructure.
        source: name for messages.

    Raises:
        TypeError: it is none of those.
        ValueError: it has no atoms, partly occupied sites, or a charge that is no whole number.
    """
    if isinstance(given, AtomicStructure):
        structure = given
    elif isinstance(given, Atoms):
        structure = from_atoms(given, source=source)
    elif _is_pymatgen(given):
        structure = _from_pymatgen(given, source)
    else:
        raise TypeError(
            f"cannot read a structure from {type(given).__name__}; "
            "expected ASE Atoms, or pymatgen Structure or Molecule"
        )
    if structure.num_atoms == 0:
        raise ValueError(f"structure {structure.source or '(unnamed)'} has no atoms")
    return structure


def _is_pymatgen(given: object) -> bool:
    return all(hasattr(given, name) for name in ("cart_coords", "species", "is_ordered"))


def _from_pymatgen(given: StructureLike, source: str) -> AtomicStructure:
    if not given.is_ordered:
        raise ValueError(f"structure {source or given.formula} has partly occupied sites")
    lattice = getattr(given, "lattice", None)
    charge = float(given.charge)
    if charge != round(charge):
        raise ValueError(
            f"structure {source or given.formula} has charge {charge}, no whole number"
        )
    return AtomicStructure(
        atomic_numbers=np.array(given.atomic_numbers, dtype=np.int64),
        positions=np.array(given.cart_coords, dtype=np.float64),
        cell=np.zeros((3, 3)) if lattice is None else np.array(lattice.matrix),
        pbc=np.zeros(3, dtype=bool) if lattice is None else np.array(lattice.pbc),
        total_charge=round(charge),
        # a crystal of pymatgen does not state its multiplicity
        spin_multiplicity=int(getattr(given, "spin_multiplicity", 1)),
        source=source,
    )


def read_atoms(path: Path | str) -> Iterator[Atoms]:
    """Every structure of a file that ase.io reads (extxyz, cif, POSCAR, traj, db, json, ...).

    Args:
        path: file, with ASE's "@" selection after it where only some are meant.

    Raises:
        ValueError: there is no such file, or ASE cannot read it.
    """
    from ase.io import iread

    filename, _, selection = str(path).partition("@")
    if not Path(filename).exists():
        raise ValueError(f"{filename}: there is no such file")
    try:
        yield from iread(filename, index=selection or ":")
    except Exception as error:  # each of ASE's readers raises what it likes
        raise ValueError(f"{path}: ASE cannot read it: {type(error).__name__}: {error}") from error

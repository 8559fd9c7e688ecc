"""What users hand over as a structure: ASE Atoms, pymatgen objects, files of any common format."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from hydracalc.structure import AtomicStructure, from_atoms

# ASE Atoms, pymatgen Structure or Molecule, or AtomicStructure
StructureLike: TypeAlias = Any

# endings of files that ase.db reads and writes
DATABASES = (".db", ".json")


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
    return all(hasattr(given, name) for name in ("cart_coords", "composition", "is_ordered"))


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
        path: file, with ASE's "@" selection after it where only some are meant. The key-value
            pairs of a database's rows, charge and spin among them, are in `atoms.info`.

    Raises:
        ValueError: there is no such file, or ASE cannot read it.
    """
    from ase.io import iread

    filename, selection = str(path), ""
    if not Path(filename).exists():
        filename, _, selection = filename.rpartition("@")
    if not filename or not Path(filename).exists():
        raise ValueError(f"{path}: there is no such file")
    try:
        if Path(filename).suffix in DATABASES:
            yield from _rows(filename, selection or ":")
        else:
            # under MPI every rank reads for itself: some readers would wait for all to take part
            yield from iread(filename, index=selection or ":", parallel=False)
    except Exception as error:  # each of ASE's readers raises what it likes
        raise ValueError(f"{path}: ASE cannot read it: {type(error).__name__}: {error}") from error


def _rows(filename: str, selection: str) -> Iterator[Atoms]:
    """Rows of an ASE database; ase.io would leave their charge and spin behind.

    Args:
        filename: of the database.
        selection: an index, a slice with step 1, or a query of ase.db.
    """
    from ase.db import connect
    from ase.io.formats import string2index

    with connect(filename, serial=True) as database:
        chosen = string2index(selection)
        if isinstance(chosen, str):  # a query
            rows = database.select(chosen)
        else:
            if isinstance(chosen, int):
                chosen = slice(chosen, chosen + 1 or None)
            start, stop, step = chosen.indices(database.count())
            if step != 1:
                raise ValueError(f"selection {selection!r} of a database must have step 1")
            # a limit of 0 is none
            rows = database.select(offset=start, limit=stop - start) if stop > start else ()
        for row in rows:
            atoms = row.toatoms()
            # of `row` itself, "charge" would be the sum of initial charges
            atoms.info |= {key: vars(row)[key] for key in row.key_value_pairs}
            yield atoms


def as_labelled(atoms: Atoms, *, branch: str = "", source: str = "") -> AtomicStructure:
    """The structure of an ASE Atoms object with the labels it carries.

    Labels under "REF_energy", "REF_forces", "REF_stress" come first, in `atoms.info` and
    `atoms.arrays`; else the results of the calculator that ASE's readers attach.

    Raises:
        ValueError: a label has a wrong shape; see `from_atoms` for charge and spin.
    """
    results = {} if atoms.calc is None else atoms.calc.results
    labels = {
        name: atoms.info.get(f"REF_{name}", atoms.arrays.get(f"REF_{name}", results.get(name)))
        for name in ("energy", "forces", "stress")
    }
    if labels["stress"] is not None:
        labels["stress"] = _full_stress(np.asarray(labels["stress"], dtype=np.float64), source)
    structure = from_atoms(atoms, branch=branch, source=source)
    return replace(structure, **labels)


def _full_stress(stress: np.ndarray, source: str) -> np.ndarray:
    if stress.shape == (6,):
        return voigt_6_to_full_3x3_stress(stress)
    if stress.size != 9:
        raise ValueError(f"structure {source}: stress has shape {stress.shape}, expected (6,)")
    return stress.reshape(3, 3)

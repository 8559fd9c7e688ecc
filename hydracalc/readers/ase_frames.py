"""Frames of extended XYZ files and ASE trajectories, one at a time, with their labels."""

import lzma
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ase import Atoms
from ase.io.trajectory import TrajectoryReader

from hydracalc.errors import DataError
from hydracalc.readers.damage import reading
from hydracalc.readers.extxyz_parts import stream_extxyz
from hydracalc.structure import AtomicStructure, from_atoms

TRAJECTORY = ".traj"


def read_frames(path: Path) -> Iterator[Atoms]:
    """Frames of a file: an ASE trajectory if its name ends in .traj, else extended XYZ.

    Raises:
        DataError: the file is damaged or holds no frame.
    """
    if path.suffix == TRAJECTORY:
        yield from _trajectory(path)
        return
    try:
        yield from stream_extxyz(path)
    except lzma.LZMAError as error:
        raise DataError(f"{path}: damaged, no xz archive ({error})") from error


def labelled(atoms: Atoms, *, source: str) -> AtomicStructure | None:
    """Atoms with the energy and the forces stored beside them; None if either is missing.

    Forces are the calculated ones, also on atoms that the publishers held fixed.
    """
    results = {} if atoms.calc is None else atoms.calc.results
    if results.get("energy") is None or results.get("forces") is None:
        return None
    return replace(
        from_atoms(atoms, source=source), energy=results["energy"], forces=results["forces"]
    )


def _trajectory(path: Path) -> Iterator[Atoms]:
    with reading(path), TrajectoryReader(path) as frames:
        if not len(frames):
            raise ValueError("holds no frame")
        for number in range(len(frames)):
            with reading(path, f"frame {number}"):
                atoms = frames[number]
            yield atoms

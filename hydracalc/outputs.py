"""Structures with results, written in formats that ASE reads."""

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.io import write

from hydracalc.errors import unknown
from hydracalc.inputs import DATABASES

# ending of a file to ASE's name of the format
_FORMATS = {".extxyz": "extxyz", ".xyz": "extxyz", ".traj": "traj"}

ENDINGS = (*_FORMATS, *DATABASES)


def check_ending(path: Path | None) -> None:
    """Make sure that `write_atoms` knows the format of a file, if one is to be written.

    Raises:
        ValueError: its ending is none of `ENDINGS`.
    """
    if path is not None and path.suffix not in ENDINGS:
        raise ValueError(unknown("ending of the output", path.suffix, ENDINGS))


def write_atoms(path: Path, frames: Sequence[Atoms]) -> None:
    """Write structures with `atoms.info` and the results of their calculators; replace the file.

    Args:
        path: its ending says the format: extended XYZ, ASE trajectory or ASE database. In a
            database numbers and texts of `atoms.info` are key-value pairs.
        frames: the structures, in order.

    Raises:
        ValueError: see `check_ending`.
    """
    check_ending(path)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    partial.unlink(missing_ok=True)
    try:
        if path.suffix in DATABASES:
            _write_database(partial, frames)
        else:
            write(partial, frames, format=_FORMATS[path.suffix], parallel=False)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_database(path: Path, frames: Sequence[Atoms]) -> None:
    from ase.db import connect

    with connect(path, serial=True, use_lock_file=False) as database:
        for atoms in frames:
            pairs = {k: v for k, v in atoms.info.items() if isinstance(v, str | int | float)}
            database.write(atoms, key_value_pairs=pairs)

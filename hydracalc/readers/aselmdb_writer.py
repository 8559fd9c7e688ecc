"""Writes ASE databases in LMDB files, as published ones are laid out, for samples and tests."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import orjson
from ase import Atoms

from hydracalc.readers.aselmdb import Row

_MAP_SIZE = 2**32  # of the address space, not of the file
_LABELS = ("energy", "forces", "stress", "free_energy")


def row_of(atoms: Atoms, data: Mapping[str, Any]) -> dict[str, Any]:
    """The row of atoms and the labels that their calculator has stored.

    Args:
        atoms: with a calculator whose `results` are the labels.
        data: the publisher's own entries.
    """
    row: dict[str, Any] = {
        "numbers": _encoded(atoms.numbers),
        "positions": _encoded(atoms.positions),
        "cell": _encoded(atoms.cell.array),
        "pbc": _encoded(atoms.pbc),
        "calculator": "unknown",
        "calculator_parameters": {},
        "data": dict(data),
    }
    if atoms.has("tags"):
        row["tags"] = _encoded(atoms.get_tags())
    if atoms.constraints:
        row["constraints"] = [constraint.todict() for constraint in atoms.constraints]
    results = {} if atoms.calc is None else atoms.calc.results
    for name in _LABELS:
        if name in results:
            value = results[name]
            row[name] = _encoded(value) if np.ndim(value) else float(value)
    return row


def write_rows(path: Path, rows: Sequence[Row | None]) -> None:
    """A database of rows numbered from 1; None is a row that was deleted.

    Args:
        path: file to make.
        rows: dictionaries that hold what JSON can.
    """
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=_MAP_SIZE) as environment,
        environment.begin(write=True) as transaction,
    ):
        deleted = []
        for number, row in enumerate(rows, start=1):
            if row is None:
                deleted.append(number)
            else:
                transaction.put(str(number).encode(), _packed(row))
        transaction.put(b"nextid", _packed(len(rows) + 1))
        if deleted:
            transaction.put(b"deleted_ids", _packed(deleted))


def _packed(value: Any) -> bytes:  # noqa: ANN401 -- what JSON can hold
    return zlib.compress(orjson.dumps(value, default=_plain))


def _plain(value: Any) -> Any:  # noqa: ANN401 -- NumPy numbers and arrays inside `data`
    return value.tolist()


def _encoded(value: np.ndarray) -> dict[str, Any]:
    content = np.asarray(value)
    return {"__ndarray__": [list(content.shape), str(content.dtype), content.ravel().tolist()]}

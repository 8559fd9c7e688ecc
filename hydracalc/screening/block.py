"""Some neighboring structures of a screening: their columns while they are filled, then as arrays.

A block is what is written at once: one step of ADIOS2, whole or absent.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from hydracalc.screening.columns import PREDICTED, REASONS, stored_columns
from hydracalc.screening.conditions import Condition
from hydracalc.screening.selection import Selection
from hydracalc.screening.sources import Found
from hydracalc.shards.table import offsets_of
from hydracalc.structure import AtomicStructure

Arrays = dict[str, np.ndarray]


class Block:
    """Columns of some structures; those that nobody predicts say why.

    Attributes:
        found: the structures, and what cannot be read.
        columns: values by name, (S,) or (S, B); NaN where there is none.
        structures: as they are kept; a relaxation puts others in their place.
        forces: of each, eV/Angstrom, (N, 3), where they are to be kept.
        messages: why a structure has no numbers, else empty.
    """

    def __init__(
        self, found: Sequence[Found], branches: Sequence[str], *, relaxed: bool = False
    ) -> None:
        self.found = found
        self.branches = tuple(branches)
        self.columns: Arrays = {}
        for name, column in stored_columns(relaxed=relaxed).items():
            shape = (len(found), len(branches)) if column.of_branches else (len(found),)
            empty = np.nan if column.dtype.startswith("float") else 0
            self.columns[name] = np.full(shape, empty, dtype=column.dtype)
        self.structures: list[AtomicStructure | None] = [each.structure for each in found]
        self.forces: list[np.ndarray | None] = [None] * len(found)
        self.messages = [""] * len(found)
        for row, each in enumerate(found):
            if each.structure is None:
                self.fail(row, "unreadable", each.message)
            else:
                self.columns["num_atoms"][row] = each.structure.num_atoms
                if each.structure.num_atoms == 0:
                    self.fail(row, "no atoms", "the structure has no atoms")

    def __len__(self) -> int:
        return len(self.found)

    @property
    def waiting(self) -> list[int]:
        """Rows without a verdict so far, in their order: all that can be predicted, at first."""
        return np.flatnonzero(self.columns["status"] == PREDICTED).tolist()

    def fail(self, row: int, reason: str, message: str) -> None:
        """Say why a structure has no numbers.

        Args:
            row: of the structure.
            reason: one of REASONS.
            message: all that is known.
        """
        self.columns["status"][row] = REASONS.index(reason)
        self.messages[row] = message

    def doubt(self, row: int, kind: int) -> None:
        """Add a reason to doubt what is predicted."""
        self.columns["doubts"][row] |= kind

    def counts(self) -> dict[str, int]:
        """How many structures are predicted, and how many not, by reason."""
        status = Counter(self.columns["status"].tolist())
        return {REASONS[index]: count for index, count in sorted(status.items())}

    def num_doubtful(self) -> int:
        """Predicted structures that there is a reason to doubt."""
        predicted = self.columns["status"] == PREDICTED
        return int((predicted & (self.columns["doubts"] > 0)).sum())

    def arrays(self, selection: Selection, conditions: Sequence[Condition]) -> Arrays:
        """Everything that is written: columns, texts, and the structures that are selected."""
        kept = selection.rows(self.columns, conditions, self.branches)
        names = [each.name for each in self.found]
        formulas = [each.formula if each is not None else "" for each in self.structures]
        texts = {"name": names, "formula": formulas, "message": self.messages}
        arrays = dict(self.columns)
        for key, values in texts.items():
            encoded = [value.encode() for value in values]
            arrays[key] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
            arrays[f"{key}_offsets"] = offsets_of([len(each) for each in encoded])
        return arrays | self._kept(kept, with_forces=selection.forces)

    def _kept(self, rows: np.ndarray, *, with_forces: bool) -> Arrays:
        """Geometry of some structures, end to end."""
        chosen = [self.structures[row] for row in rows]
        structures = [each for each in chosen if each is not None]
        arrays = {
            "kept_row": np.asarray(rows, dtype=np.int64),
            "kept_offsets": offsets_of([each.num_atoms for each in structures]),
            "kept_atomic_numbers": _joined([each.atomic_numbers for each in structures], "uint8"),
            "kept_positions": _joined([each.positions for each in structures], "float64", 3),
            "kept_cell": _joined([each.cell[None] for each in structures], "float64", 3, 3),
            "kept_pbc": _joined([each.pbc[None] for each in structures], "uint8", 3),
            "kept_charge": np.array([each.total_charge for each in structures], dtype=np.int32),
            "kept_spin": np.array([each.spin_multiplicity for each in structures], dtype=np.int32),
        }
        if with_forces:
            forces = [self.forces[row] for row in rows]
            arrays["kept_forces"] = _joined([f for f in forces if f is not None], "float64", 3)
        return arrays


def digest_of(found: Sequence[Found]) -> str:
    """Hash of what was given, so that another sequence is not taken for its continuation."""
    digest = hashlib.sha256()
    for each in found:
        digest.update(each.name.encode() + b"\n")
        if each.structure is not None:
            digest.update(each.structure.atomic_numbers.tobytes())
            digest.update(each.structure.positions.tobytes())
            digest.update(each.structure.cell.tobytes())
    return digest.hexdigest()


def _joined(arrays: Sequence[np.ndarray], dtype: str, *rest: int) -> np.ndarray:
    """Arrays end to end, of a shape that is right if there are none."""
    empty = np.empty((0, *rest), dtype=dtype)
    return np.concatenate([empty, *(each.astype(dtype) for each in arrays)])

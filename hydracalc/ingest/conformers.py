"""Many structures of equally many atoms at once, as arrays: how files of conformations hold them.

Objects for single structures would cost more time than everything else in reading such files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hydracalc import elements
from hydracalc.shards.table import (
    OFFSETS,
    SPLIT,
    TEXTS,
    StructureTable,
    offsets_of,
    split_index,
)

_BLOCK_ATOMS = 50_000  # some 5 MB of arrays


@dataclass(frozen=True, kw_only=True, eq=False)
class Conformers:
    """Open structures with equally many atoms; forces None where the source has none.

    Attributes:
        atomic_numbers: (N,) where all are the same atoms, else (n, N).
        positions: (n, N, 3).
        energies: (n,).
        forces: (n, N, 3) or None.
        total_charge, spin_multiplicity: one number, or (n,).
        groups: one name, or n of them.
        sources: n names.
        split: "train", "val" or "test" where the dataset publishes one.

    Raises:
        ValueError: shapes do not belong together, or an atomic number is no element.
    """

    atomic_numbers: np.ndarray
    positions: np.ndarray
    energies: np.ndarray
    forces: np.ndarray | None
    groups: str | Sequence[str]
    sources: Sequence[str]
    total_charge: int | np.ndarray = 0
    spin_multiplicity: int | np.ndarray = 1
    split: str | None = None

    def __post_init__(self) -> None:
        count, num_atoms = len(self.sources), np.shape(self.atomic_numbers)[-1]
        shapes = {
            "positions": (count, num_atoms, 3),
            "energies": (count,),
            "forces": (count, num_atoms, 3),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None and np.shape(value) != shape:
                raise ValueError(f"{name} has shape {np.shape(value)}, expected {shape}")
        numbers = np.asarray(self.atomic_numbers)
        if numbers.size and not (
            numbers.min() >= 1 and numbers.max() <= elements.MAX_ATOMIC_NUMBER
        ):
            outside = (numbers < 1) | (numbers > elements.MAX_ATOMIC_NUMBER)
            bad = np.unique(numbers[outside]).tolist()
            raise ValueError(f"atomic_numbers {bad} are no elements (1..118)")

    def __len__(self) -> int:
        return len(self.sources)

    def rows(self, keep: np.ndarray) -> "Conformers":
        """Some of the structures.

        Args:
            keep: bool, (n,).
        """
        chosen = np.flatnonzero(keep)
        groups, kept = self.groups, chosen.tolist()

        def picked(value: int | np.ndarray) -> int | np.ndarray:
            return value[chosen] if isinstance(value, np.ndarray) and value.ndim else value

        numbers = np.asarray(self.atomic_numbers)
        return Conformers(
            atomic_numbers=numbers if numbers.ndim == 1 else numbers[chosen],
            positions=self.positions[chosen],
            energies=self.energies[chosen],
            forces=None if self.forces is None else self.forces[chosen],
            groups=groups if isinstance(groups, str) else [groups[row] for row in kept],
            sources=[self.sources[row] for row in kept],
            total_charge=picked(self.total_charge),
            spin_multiplicity=picked(self.spin_multiplicity),
            split=self.split,
        )

    def table(self, branch: str) -> StructureTable:
        """The structures end to end, as shards hold them; a split that is not published is -1."""
        count, num_atoms = self.positions.shape[:2]
        numbers = np.broadcast_to(np.asarray(self.atomic_numbers), (count, num_atoms))
        absent = np.broadcast_to(np.nan, (count, num_atoms, 3))
        forces = absent if self.forces is None else self.forces
        split = -1 if self.split is None else split_index(self.split)
        arrays = {
            OFFSETS: np.arange(count + 1, dtype=np.int64) * num_atoms,
            SPLIT: np.full(count, split, dtype=np.int8),
            "atomic_numbers": numbers.astype(np.int64).reshape(-1),
            "positions": np.asarray(self.positions, dtype=np.float64).reshape(-1, 3),
            "cell": np.zeros((count, 3, 3)),
            "pbc": np.zeros((count, 3), dtype=bool),
            "total_charge": _column(self.total_charge, count),
            "spin_multiplicity": _column(self.spin_multiplicity, count),
            "energy": np.asarray(self.energies, dtype=np.float64),
            "forces": np.array(forces, dtype=np.float64).reshape(-1, 3),
            "stress": np.full((count, 3, 3), np.nan),
        }
        groups = [self.groups] * count if isinstance(self.groups, str) else self.groups
        for name, texts in zip(TEXTS, (groups, self.sources), strict=True):
            encoded = [text.encode() for text in texts]
            arrays[name] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
            arrays[f"{name}_offsets"] = offsets_of([len(text) for text in encoded])
        return StructureTable(branch, arrays)


def _column(value: int | np.ndarray, count: int) -> np.ndarray:
    return np.array(np.broadcast_to(np.asarray(value, dtype=np.int64), (count,)))


def row_blocks(count: int, num_atoms: int) -> Iterator[slice]:
    """Ranges of rows to read one after another, so that memory does not grow with the file.

    Args:
        count: rows of the array.
        num_atoms: atoms in each.
    """
    step = max(1, _BLOCK_ATOMS // max(1, num_atoms))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))

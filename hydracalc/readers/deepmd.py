"""DeePMD-kit's folders: type.raw, type_map.raw and set.*/ with an array for each quantity.

A folder is a system of equal atoms. `coord` is in Angstrom, (n, 3N); `box` holds the lattice
vectors as rows, (n, 9), unless the folder has a file `nopbc`; `energy` (n,) and `virial` (n, 9) are
in eV, `force` (n, 3N) in eV/Angstrom. In the mixed layout `real_atom_types` (n, N) takes the place
of type.raw, -1 being no atom. The virial is -volume * stress, the stress positive under tension.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hydracalc import elements
from hydracalc.readers.damage import reading
from hydracalc.readers.parts import Part

COORDINATES = "coord.npy"
_FRAMES_PER_PART = 5000


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One frame of a system.

    Attributes:
        number: of the frame in its set.
        atomic_numbers: (N,).
        positions: Angstrom, (N, 3).
        cell: lattice vectors as rows, Angstrom, (3, 3); zero without a box.
        pbc: all or none, (3,).
        arrays: of the set by name of the file; those with 3 numbers for each atom are (N, 3).
    """

    number: int
    atomic_numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    arrays: dict[str, np.ndarray]


def set_parts(path: Path, *, frames_per_part: int = _FRAMES_PER_PART) -> list[Part]:
    """Ranges of frames of a set.

    Args:
        path: of its coord.npy.
        frames_per_part: in each.

    Raises:
        DataError: the file is damaged or holds no frame.
    """
    with reading(path):
        count = len(_load(path))
        if not count:
            raise ValueError("holds no frame")
    starts = range(0, count, frames_per_part)
    return [
        Part(path=path, start=start, stop=min(start + frames_per_part, count)) for start in starts
    ]


def frames_of(part: Part) -> Iterator[Frame]:
    """Frames of a range.

    Raises:
        DataError: a file is missing or damaged, or has another number of frames than coord.npy.
    """
    folder, system = part.path.parent, part.path.parents[1]
    coordinates = _array(part.path, None)
    count = len(coordinates)
    types, symbols = _types(folder, system, count), _symbols(system)
    box = None if (system / "nopbc").exists() else _array(folder / "box.npy", count)
    taken = {COORDINATES, "box.npy", "real_atom_types.npy"}
    names = [path for path in sorted(folder.glob("*.npy")) if path.name not in taken]
    arrays = {path.stem: _array(path, count) for path in names}
    for number in range(count)[part.start : part.stop]:
        with reading(part.path, f"frame {number}"):
            present = types[number] >= 0
            size = 3 * len(present)
            rows = {name: np.array(values[number]) for name, values in arrays.items()}
            yield Frame(
                number=number,
                atomic_numbers=symbols[types[number][present]],
                positions=coordinates[number].reshape(-1, 3)[present],
                cell=np.zeros((3, 3)) if box is None else box[number].reshape(3, 3),
                pbc=np.full(3, box is not None),
                arrays={
                    name: row.reshape(-1, 3)[present] if row.size == size else row
                    for name, row in rows.items()
                },
            )


def _load(path: Path) -> np.ndarray:
    """An array that stays on disk until it is indexed."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _array(path: Path, count: int | None) -> np.ndarray:
    with reading(path):
        array = _load(path)
        if count is not None and len(array) != count:
            raise ValueError(f"has {len(array)} frames, {COORDINATES} has {count}")
        return array


def _types(folder: Path, system: Path, count: int) -> np.ndarray:
    """Index of each atom's type, -1 for none, (n, N)."""
    if (folder / "real_atom_types.npy").is_file():
        return _array(folder / "real_atom_types.npy", count)
    path = system / "type.raw"
    with reading(path):
        types = np.array(path.read_text().split(), dtype=np.int64)
    return np.broadcast_to(types, (count, len(types)))


def _symbols(system: Path) -> np.ndarray:
    """Atomic number of each type."""
    path = system / "type_map.raw"
    with reading(path):
        if not path.is_file():
            raise ValueError("is missing; it names the element of each type, one in a line")
        return np.array([elements.number(symbol) for symbol in path.read_text().split()])

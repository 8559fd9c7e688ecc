"""Results of a screening, read back: columns as NumPy arrays, structures that were kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hydracalc.errors import unknown
from hydracalc.ingest.workspace import workspace_of
from hydracalc.screening.columns import (
    PREDICTED,
    RELAXED,
    STORED,
    best,
    column_names,
    described,
    needed_for,
    values_of,
)
from hydracalc.screening.selection import Selection
from hydracalc.screening.storage import ResultsManifest, StoredBlock, read_results, verify_blocks
from hydracalc.shards.arrays import ArrayFile
from hydracalc.structure import AtomicStructure

_GEOMETRY = {
    "atomic_numbers": "uint8",
    "positions": "float64",
    "cell": "float64",
    "pbc": "uint8",
    "charge": "int32",
    "spin": "int32",
}


class Results:
    """Columns of all structures of a screening, in the order of the input.

    `results["energy_per_atom"]` is a column; `columns` lists their names.

    Attributes:
        path: the folder.
        manifest: what it says of itself.
        branches: of the model.
        is_relaxed: whether structures were relaxed first.
    """

    def __init__(self, path: Path, manifest: ResultsManifest) -> None:
        """Take a folder whose files were verified."""
        self.path = path
        self.manifest = manifest
        self.branches = manifest.branches
        self.is_relaxed = set(RELAXED) <= set(manifest.units)
        self._blocks = [block for block in manifest.blocks if block.files is not None]
        sizes = [block.num_structures for block in self._blocks]
        self._first = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)

    def __len__(self) -> int:
        return int(self._first[-1])

    @property
    def columns(self) -> list[str]:
        """Names of the columns; those of a branch are as "weight.mptrj"."""
        return column_names(self.branches, relaxed=self.is_relaxed)

    def __getitem__(self, name: str) -> np.ndarray:
        """A column, (S,); NaN where a structure has none.

        Raises:
            ValueError: there is no such column.
        """
        if name not in self.columns:
            raise ValueError(unknown("column", name, self.columns))
        stored = needed_for(name)
        parts: dict[str, list[np.ndarray]] = {each: [] for each in stored}
        for block in self._blocks:
            with self._open(block) as file:
                for each in stored:
                    parts[each].append(file.read(each, (STORED | RELAXED)[each].dtype))
        arrays = {each: _joined(found) for each, found in parts.items()}
        return values_of(arrays, name, self.branches)

    def text(self, name: str) -> list[str]:
        """A column of texts: "name", "formula", or "message", why there are no numbers."""
        texts: list[str] = []
        for block in self._blocks:
            with self._open(block) as file:
                offsets = file.read(f"{name}_offsets", "int64")
                data = file.read(name, "uint8").tobytes()
            texts += [
                data[start:stop].decode()
                for start, stop in zip(offsets[:-1], offsets[1:], strict=True)
            ]
        return texts

    def chosen(self, selection: Selection) -> np.ndarray:
        """Indices of the structures that are selected, the best first.

        Args:
            selection: conditions, and how many; without a number all that pass, in order.

        Raises:
            ValueError: a condition or a column is not known.
        """
        conditions = selection.conditions(self.branches, relaxed=self.is_relaxed)
        passes = self["status"] == PREDICTED
        for condition in conditions:
            passes &= condition.holds(self[condition.column])
        values = np.where(passes, self[selection.by], np.nan)
        if selection.top is None:
            return np.flatnonzero(passes)
        return best(values, selection.top, lowest_first=selection.lowest_first)

    @property
    def selected(self) -> dict[str, Any]:
        """What the screening selected to keep with atoms: arguments of `Selection`."""
        settings: Any = self.manifest.plan["settings"]
        return {**settings["selection"], "where": tuple(settings["selection"]["where"])}

    def failed(self) -> np.ndarray:
        """Indices of the structures that have no numbers."""
        return np.flatnonzero(self["status"] != PREDICTED)

    def structures(self, indices: Sequence[int] | np.ndarray) -> list[AtomicStructure | None]:
        """Structures as they were kept, relaxed where they were; None for those that were not.

        Their energy, and forces where those were kept, are the predicted ones.
        """
        found: dict[int, AtomicStructure] = {}
        wanted = np.asarray(indices, dtype=np.int64)
        of_block = np.searchsorted(self._first, wanted, side="right") - 1
        for number in np.unique(of_block):
            rows = wanted[of_block == number] - self._first[number]
            for row, structure in self._kept(self._blocks[number], rows):
                found[int(self._first[number]) + row] = structure
        return [found.get(int(index)) for index in wanted]

    def unit(self, name: str) -> str:
        """Unit of a column, empty for a plain number."""
        return described(name).unit

    def _open(self, block: StoredBlock) -> ArrayFile:
        assert block.files is not None
        return ArrayFile(self.path / block.files.name)

    def _kept(self, block: StoredBlock, rows: np.ndarray) -> Iterator[tuple[int, AtomicStructure]]:
        """Some of the structures that a block kept, by row."""
        with self._open(block) as file:
            kept = file.read("kept_row", "int64")
            places = np.flatnonzero(np.isin(kept, rows))
            offsets = file.read("kept_offsets", "int64")
            energies = file.read("energy", "float64")
            arrays = {key: file.read(f"kept_{key}", kind) for key, kind in _GEOMETRY.items()}
            if "kept_forces" in file.shapes:
                arrays["forces"] = file.read("kept_forces", "float64")
        names = self._names(block)
        for place in places.tolist():
            atoms = slice(int(offsets[place]), int(offsets[place + 1]))
            row = int(kept[place])
            structure = AtomicStructure(
                atomic_numbers=arrays["atomic_numbers"][atoms].astype(np.int64),
                positions=arrays["positions"][atoms],
                cell=arrays["cell"][place],
                pbc=arrays["pbc"][place].astype(bool),
                total_charge=int(arrays["charge"][place]),
                spin_multiplicity=int(arrays["spin"][place]),
                energy=float(energies[row]),
                forces=arrays["forces"][atoms] if "forces" in arrays else None,
                source=names[row],
            )
            yield row, structure

    def _names(self, block: StoredBlock) -> list[str]:
        part = Results(self.path, self.manifest.model_copy(update={"blocks": (block,)}))
        return part.text("name")


def open_results(folder: Path | str) -> Results:
    """Open the results of a screening once every file has been compared with what is known of it.

    Args:
        folder: that `hydracalc screen` made.

    Raises:
        ValueError: there is no such folder, or the screening is not finished.
        DataError: something in it is missing or damaged; the message names the file.
    """
    folder = Path(folder)
    if not folder.exists() and workspace_of(folder).exists():
        raise ValueError(f"{folder}: the screening is not finished; the same command continues it")
    manifest = read_results(folder)
    verify_blocks(folder, manifest.blocks)
    return Results(folder, manifest)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0)

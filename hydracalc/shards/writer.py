"""Writes structures to a folder of shards that is either whole or absent."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import JsonValue

from hydracalc import elements
from hydracalc.card import Card
from hydracalc.fields import FIELDS
from hydracalc.references import References
from hydracalc.shards.baseline import CompositionEnergies
from hydracalc.shards.folder import amend_shard, publish, write_shard
from hydracalc.shards.manifest import Manifest, StoredShard, field_table
from hydracalc.shards.reader import read_table
from hydracalc.shards.table import OFFSETS, SPLITS, from_structures, split_index
from hydracalc.structure import AtomicStructure

NO_REFERENCE = "element without reference"

# fixed cost of a structure in a shard: offsets, cell, scalars, names
_BYTES_PER_STRUCTURE = 300
_BYTES_PER_ATOM = 56


class ShardWriter:
    """Collects structures of one dataset and publishes them as a folder of shards.

    Use it in a `with` block: the folder appears under its name when the block ends, complete; if
    the block raises, nothing is left. References are fitted on the training split alone, and
    structures with an element that has none are left out and counted. Equal structures in equal
    order give equal bytes.

    Attributes:
        dropped: how many structures were left out, by reason; what is added to it before the
            block ends is recorded.
        num_structures: how many are kept, by split.
        references: known once the block has ended.
        sha256: identity of what was written, known once the block has ended.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        card: Card,
        settings: Mapping[str, JsonValue] | None = None,
        references: References | None = None,
        max_shard_bytes: int = 64 * 2**20,
    ) -> None:
        """Reserve a hidden folder beside the one to be made.

        Args:
            path: folder to make.
            card: of the dataset.
            settings: how the structures were chosen, for the manifest.
            references: energies of isolated atoms, where the dataset has them, eV; None fits them.
            max_shard_bytes: a new shard is begun beyond it; bounds the memory.

        Raises:
            ValueError: the path exists.
            OSError: the folder cannot be made.
        """
        self._path = Path(path)
        if self._path.exists() or self._path.is_symlink():
            raise ValueError(f"{path}: exists; choose another name or remove it first")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{self._path.name}."
        self._folder = Path(tempfile.mkdtemp(dir=self._path.parent, prefix=prefix, suffix=".part"))
        self._card = card
        self._settings = dict(settings or {})
        self._given_references = references
        self._max_shard_bytes = max_shard_bytes
        self._buffer: list[AtomicStructure] = []
        self._splits: list[int] = []
        self._bytes = 0
        self._shards: list[StoredShard] = []
        self._elements = np.zeros(elements.NUM_ELEMENTS, dtype=bool)
        self._energies = CompositionEnergies()
        self.dropped: Counter[str] = Counter()
        self.num_structures: Counter[str] = Counter({split: 0 for split in SPLITS})
        self.references: References | None = None
        self.sha256: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)  # gone already if it was published

    def add(self, structure: AtomicStructure, *, split: str) -> None:
        """Take one structure.

        Args:
            structure: of the card's branch; its own `split` is not looked at.
            split: "train", "val" or "test".

        Raises:
            ValueError: the split is unknown, the branch is another, there are no atoms, or a
                number is not finite.
        """
        index = split_index(split)
        self._check(structure)
        if index == 0:
            self._energies.add(structure)
        self._elements[structure.atomic_numbers] = True
        self._take(structure, index)

    def _check(self, structure: AtomicStructure) -> None:
        name = structure.source or "(unnamed)"
        if structure.branch != self._card.branch:
            raise ValueError(
                f"structure {name}: branch is {structure.branch!r}, "
                f"the card's is {self._card.branch!r}"
            )
        if structure.num_atoms == 0:
            raise ValueError(f"structure {name} has no atoms")
        for field in FIELDS:
            value = getattr(structure, field)
            # NaN on disk means that there is no label
            if value is not None and not np.isfinite(value).all():
                raise ValueError(f"structure {name}: {field} is not finite")

    def _take(self, structure: AtomicStructure, split: int) -> None:
        self._buffer.append(structure)
        self._splits.append(split)
        self._bytes += _BYTES_PER_STRUCTURE + _BYTES_PER_ATOM * structure.num_atoms
        self.num_structures[SPLITS[split]] += 1
        if self._bytes >= self._max_shard_bytes:
            self._roll(f"shard-{len(self._shards):05d}.bp")

    def _roll(self, name: str) -> None:
        """Write what is in memory as one shard."""
        table = from_structures(self._card.branch, self._buffer, self._splits)
        self._shards.append(write_shard(self._folder, name, table))
        self._buffer, self._splits, self._bytes = [], [], 0

    def _publish(self) -> None:
        if not sum(self.num_structures.values()):
            raise ValueError(f"{self._path}: there is no structure to write")
        if self._buffer:
            self._roll(f"shard-{len(self._shards):05d}.bp")
        if not self.num_structures["train"]:
            raise ValueError(
                f"{self._path}: no structure in the training split, only "
                f"{ {name: n for name, n in self.num_structures.items() if n} }"
            )
        self.references = self._given_references or self._energies.fit()
        self._leave_out_unsupported(self.references.supported)
        manifest = self._manifest(self.references)
        self.sha256 = publish(self._folder, self._path, manifest)

    def _leave_out_unsupported(self, supported: np.ndarray) -> None:
        """Rewrite the shards if they have an element that no training structure told about."""
        if not (self._elements & ~supported).any():
            return
        written, self._shards = self._shards, []
        self.num_structures = Counter({split: 0 for split in SPLITS})
        for shard in written:
            table = read_table(self._folder / shard.name, self._card.branch)
            unknown = ~supported[table.arrays["atomic_numbers"]]
            keep = np.logical_or.reduceat(unknown, table.arrays[OFFSETS][:-1]) == 0
            self.dropped[NO_REFERENCE] += int((~keep).sum())
            for side, count in enumerate(np.bincount(table.splits[keep], minlength=len(SPLITS))):
                self.num_structures[SPLITS[side]] += int(count)
            amended = amend_shard(self._folder, shard, table, keep=keep, splits=table.splits)
            self._shards += [amended] if amended is not None else []

    def _manifest(self, references: References) -> Manifest:
        return Manifest(
            hydracalc_version=version("hydracalc"),
            card=self._card,
            fields=field_table(),
            num_structures=dict(self.num_structures),
            num_atoms=sum(shard.num_atoms for shard in self._shards),
            dropped={reason: n for reason, n in sorted(self.dropped.items()) if n},
            references_eV=references.to_json(),
            references_from="given" if self._given_references else "training split",
            settings=self._settings,
            shards=tuple(self._shards),
        )

"""What training asks for structures, the store of one process, and how a store is opened."""

import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from hydracalc.card import Card
from hydracalc.references import References
from hydracalc.shards.manifest import Manifest, read_manifest, verify_shards
from hydracalc.shards.reader import Shards
from hydracalc.shards.table import StructureTable, split_index
from hydracalc.store.assembly import structures_of, table_rows
from hydracalc.store.choice import StoreConfig, choose, working_set
from hydracalc.store.filling import together
from hydracalc.store.mapped import MappedStore
from hydracalc.store.places import Place
from hydracalc.store.records import checked_rows
from hydracalc.store.shared import shared_by_file, shared_by_mpi
from hydracalc.store.spill import is_in_memory
from hydracalc.store.traffic import Traffic
from hydracalc.structure import AtomicStructure

logger = logging.getLogger("hydracalc.store")

_LOCAL = StoreConfig(kind="local")
# of the disk's free room that a file of structures may take
_SHARE_OF_DISK = 0.9


class StructureStore(Protocol):
    """Structures of one branch and one split, by index.

    Attributes:
        traffic: bytes asked for and moved so far.
    """

    traffic: Traffic

    @property
    def kind(self) -> str:
        """One of the kinds of `StoreConfig`."""

    @property
    def card(self) -> Card:
        """What is stated about the dataset."""

    @property
    def references(self) -> References:
        """Energy of each element, fitted on the training split, eV."""

    @property
    def branch(self) -> str:
        """Identifier of the dataset."""

    @property
    def num_atoms(self) -> np.ndarray:
        """Atoms of each structure, int64, (S,)."""

    @property
    def num_bytes(self) -> int:
        """What the structures take in the memory that this process fills or shares."""

    def __len__(self) -> int: ...

    def fetch(self, indices: Sequence[int] | np.ndarray) -> list[AtomicStructure]:
        """Structures in the order asked for; an index may repeat."""

    def fetch_table(self, indices: Sequence[int] | np.ndarray) -> StructureTable:
        """The same structures as a few long arrays, which is several times faster."""

    def close(self) -> None:
        """Give memory and files back. Collective over the ranks that opened it together."""


class LocalStore:
    """All structures of one split in the memory of this process.

    Attributes:
        card: what is stated about the dataset.
        references: energy of each element, eV.
        num_atoms: atoms of each structure, int64, (S,).
        traffic: bytes asked for and moved so far.
    """

    kind = "local"

    def __init__(self, table: StructureTable, *, card: Card, references: References) -> None:
        self._table = table
        self.card = card
        self.references = references
        self.num_atoms = table.num_atoms
        self.traffic = Traffic()

    @property
    def branch(self) -> str:
        """Identifier of the dataset."""
        return self._table.branch

    @property
    def num_bytes(self) -> int:
        """Of the long arrays."""
        return sum(array.nbytes for array in self._table.arrays.values())

    def __len__(self) -> int:
        return len(self._table)

    def fetch(self, indices: Sequence[int] | np.ndarray) -> list[AtomicStructure]:
        """Structures in the order asked for; their arrays are read-only views, nothing is copied.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        rows = checked_rows(indices, len(self), self.branch)
        self.traffic.structures += len(rows)
        return structures_of(self._table, rows)

    def fetch_table(self, indices: Sequence[int] | np.ndarray) -> StructureTable:
        """The same, copied into long arrays.

        Raises:
            IndexError: an index is outside 0..len - 1.
        """
        table = table_rows(self._table, checked_rows(indices, len(self), self.branch))
        num_bytes = sum(array.nbytes for array in table.arrays.values())
        self.traffic.structures += len(table)
        self.traffic.fetched_bytes += num_bytes
        self.traffic.copied_bytes += num_bytes
        return table

    def close(self) -> None:
        """Memory is given back with the last view of it."""


def open_store(
    shards: Shards | Path | str,
    split: str,
    *,
    config: StoreConfig = _LOCAL,
    place: Place | None = None,
) -> StructureStore:
    """Open one split of a folder of shards. Collective over the place's ranks.

    Args:
        shards: open shards, which may be closed afterwards, or the folder.
        split: "train", "val" or "test"; a small dataset may have none in it, the store is empty.
        config: which kind; "auto" weighs this folder alone, so a run that holds several calls
            `choice.resolve` first.
        place: the ranks that share the structures; None is this process alone.

    Raises:
        ValueError: the split is unknown, there is no such folder, or no such kind here.
        DataError: the shards are damaged.
    """
    place = place or Place()
    wanted = split_index(split)
    if not isinstance(shards, Shards):
        with open_together(shards, place) as opened:
            return open_store(opened, split, config=config, place=place)
    if config.kind == "auto":
        config = choose(config, working_set(shards), place)
    rows = np.flatnonzero(shards.splits == wanted)
    if config.kind == "local":
        table = shards.read_table(rows)
        return LocalStore(table, card=shards.card, references=shards.references)
    if config.kind == "mapped":
        return _open_mapped(shards, rows, config, place)
    if config.kind == "rma":
        return _open_rma(shards, rows, config, place)
    if place.comm is not None:
        return shared_by_mpi(shards, rows, place=place, timeout_s=config.timeout_s)
    folder = _folder(config)
    return shared_by_file(
        "shared", shards, rows, place=place, folder=folder, timeout_s=config.timeout_s
    )


def open_together(path: Path | str, place: Place) -> Shards:
    """Open a folder of shards; the ranks divide the comparison with the manifest among them.

    Collective over the place's ranks.

    Raises:
        ValueError: there is no such folder.
        DataError: something in it is missing or damaged; the message names the file.
    """
    return Shards(Path(path), verify_together(path, place))


def verify_together(path: Path | str, place: Place) -> Manifest:
    """Compare a folder of shards with its manifest; each rank looks at a part of the files.

    Collective over the place's ranks.

    Raises:
        ValueError: there is no such folder.
        DataError: something in it is missing or damaged; the message names the file.
    """
    manifests = []

    def verify() -> None:
        manifests.append(read_manifest(Path(path)))
        verify_shards(Path(path), manifests[0].shards[place.rank :: place.size])

    together(place, verify)
    return manifests[0]


def _open_rma(
    shards: Shards, rows: np.ndarray, config: StoreConfig, place: Place
) -> StructureStore:
    if place.no_rma:
        raise ValueError(f"store kind 'rma' {place.no_rma}")
    from hydracalc.store.rma import RmaStore  # needs MPI, which need not be there

    return RmaStore(shards, rows, place=place, width=config.width, timeout_s=config.timeout_s)


def _open_mapped(
    shards: Shards, rows: np.ndarray, config: StoreConfig, place: Place
) -> StructureStore:
    """Records in a file, which are faster to read, if there is room; else the shards."""
    folder, needed = _folder(config), working_set(shards)
    free = shutil.disk_usage(folder).free * _SHARE_OF_DISK
    if is_in_memory(folder):
        why_not = f"{folder} takes memory, too"
    elif needed > free:
        why_not = f"they take {needed / 1e9:.3g} GB, {folder} has {free / 1e9:.3g} GB for them"
    else:
        why_not = ""
    # the disks of machines differ, and this one fills as soon as a process goes on
    why_not = next(filter(None, place.all_of(why_not)), "")
    if why_not:
        logger.info("store of %s reads the shards themselves: %s", shards.branch, why_not)
        return MappedStore(shards, rows)
    logger.info("store of %s reads a file in %s", shards.branch, folder)
    return shared_by_file(
        "mapped", shards, rows, place=place, folder=folder, timeout_s=config.timeout_s
    )


def _folder(config: StoreConfig) -> Path:
    """Where files go.

    Raises:
        ValueError: there is no such folder.
    """
    folder = Path(config.folder or tempfile.gettempdir())
    if not folder.is_dir():
        raise ValueError(f"store folder {folder} does not exist")
    return folder

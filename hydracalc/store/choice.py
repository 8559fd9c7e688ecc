"""Which kind of store fits: decided from the structures, the memory and the ranks, and told."""

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hydracalc.errors import unknown
from hydracalc.shards.table import SPLITS, split_index
from hydracalc.store.places import Place

if TYPE_CHECKING:  # brings ADIOS2, which whoever reads a recipe does not need
    from hydracalc.shards.reader import Shards

logger = logging.getLogger("hydracalc.store")

KINDS = ("auto", "local", "shared", "rma", "mapped")
# of a machine's memory, where no budget is given: the rest is for training
_SHARE_OF_MEMORY = 0.5


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """Where the structures of a run are kept while it trains.

    Attributes:
        kind: "local" has a copy in every process, "shared" one on every machine, "rma" one in
            every group of ranks, "mapped" none: structures are read from disk. "auto" takes the
            first of shared, rma and mapped that the memory has room for; local alone.
        width: ranks of a group of "rma", at least; 0 is decided from the memory, or all ranks.
        memory_GB: what structures may take on one machine; None is half of the machine's memory
            where the kind is "auto", else no limit.
        neighbors_GB: what each process takes to keep the neighbor lists of structures that it
            trains on, and as much for those that it validates on; the rest are found anew.
        timeout_s: how long to wait for another rank before the job is ended.
        folder: for files of "mapped", and of "shared" without MPI; "" is the system's place for
            temporary files.

    Raises:
        ValueError: there is no such kind, or a number is outside its range.
    """

    kind: str = "auto"
    width: int = 0
    memory_GB: float | None = None  # noqa: N815  # units in the name
    neighbors_GB: float = 0.5  # noqa: N815
    timeout_s: float = 600.0
    folder: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(unknown("store kind", self.kind, KINDS))
        if self.width < 0 or (self.width and self.kind not in ("auto", "rma")):
            raise ValueError(
                f"store width is {self.width} with kind {self.kind!r}; expected 0, or a positive "
                "number with 'rma' or 'auto'"
            )
        if self.memory_GB is not None and not self.memory_GB > 0:
            raise ValueError(f"store memory_GB is {self.memory_GB}, expected a positive number")
        if not self.neighbors_GB >= 0:
            raise ValueError(f"store neighbors_GB is {self.neighbors_GB}, expected 0 or more")
        if not self.timeout_s > 0:
            raise ValueError(f"store timeout_s is {self.timeout_s}, expected a positive number")


def resolve(
    config: StoreConfig,
    datasets: Sequence["Shards"],
    place: Place,
    *,
    splits: Sequence[str] = SPLITS,
    world: Place | None = None,
) -> StoreConfig:
    """The configuration with a kind that is not "auto". Collective over the world's ranks.

    Args:
        config: as given.
        datasets: everything that these ranks will hold at the same time.
        place: this process among them.
        splits: those that they hold.
        world: this process among all that share machines with them; None if there are no others.

    Raises:
        ValueError: the given kind cannot be had here, or not within the given memory.
    """
    num_bytes = sum(working_set(shards, splits) for shards in datasets)
    share = 1.0 if world is None else _share_of_machine(num_bytes, place, world)
    return choose(config, num_bytes, place, share=share)


def _share_of_machine(num_bytes: int, place: Place, world: Place) -> float:
    """Part that these ranks' structures are of all that ranks of this machine hold."""
    everyone = world.all_of((world.node, place.token, num_bytes))
    here = {token: size for node, token, size in everyone if node == world.node}
    return num_bytes / sum(here.values())


def choose(config: StoreConfig, num_bytes: int, place: Place, *, share: float = 1.0) -> StoreConfig:
    """The same for structures that take so many bytes once.

    Args:
        config: as given.
        num_bytes: of the structures.
        place: this process among the ranks that hold them.
        share: part of the machine's memory that is theirs.
    """
    limit = min(place.all_of(share * _memory_limit(config)))  # machines may differ
    if config.kind != "auto":
        chosen, why = config, "as asked for"
        if config.kind == "rma" and place.no_rma:
            raise ValueError(f"store kind 'rma' {place.no_rma}")
        needed = _on_one_machine(config, num_bytes, place)
        if config.memory_GB is not None and needed > limit:
            raise ValueError(
                f"store kind {config.kind!r} takes {needed / 1e9:.3g} GB on a machine, memory_GB "
                f"allows {limit / 1e9:.3g}; use 'mapped', or 'auto' to take what fits"
            )
    else:
        chosen, why = _fitting(config, num_bytes, place, limit)
    if place.rank == 0:
        width = f", width {chosen.width or place.size}" if chosen.kind == "rma" else ""
        logger.info("store: %s%s: %s", chosen.kind, width, why)
    return chosen


def working_set(shards: "Shards", splits: Sequence[str] = SPLITS) -> int:
    """Bytes of structures of a folder in memory, once; about, from the sizes of the files."""
    size = sum(file.size for shard in shards.manifest.shards for file in shard.files)
    held = np.isin(shards.splits, [split_index(split) for split in splits])
    if held.all():
        return size
    return round(size * float(shards.num_atoms[held].sum() / shards.num_atoms.sum()))


def _fitting(
    config: StoreConfig, num_bytes: int, place: Place, limit: float
) -> tuple[StoreConfig, str]:
    """The first kind that fits, and why it was taken."""
    have = f"structures take {num_bytes / 1e9:.3g} GB, a machine has {limit / 1e9:.3g} GB for them"
    if num_bytes <= limit:
        kind = "local" if place.size == 1 else "shared"
        return replace(config, kind=kind, width=0), have
    width = max(config.width, math.ceil(num_bytes * place.node_size / limit))
    if not place.no_rma and width <= place.size:
        text = f"{have}; with {place.node_size} ranks on it, {width} ranks have room for one copy"
        return replace(config, kind="rma", width=width), text
    if place.no_rma:
        rest = "" if place.size == 1 else f"; 'rma' {place.no_rma}"
    else:
        rest = f"; one copy would need {width} ranks, there are {place.size}"
    return replace(config, kind="mapped", width=0), have + rest


def _on_one_machine(config: StoreConfig, num_bytes: int, place: Place) -> float:
    copies = {
        "local": place.node_size,
        "shared": 1,
        "rma": place.node_size / (config.width or place.size),
        "mapped": 0,
    }
    return num_bytes * copies[config.kind]


def _memory_limit(config: StoreConfig) -> float:
    if config.memory_GB is not None:
        return config.memory_GB * 1e9
    if config.kind != "auto":
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _SHARE_OF_MEMORY

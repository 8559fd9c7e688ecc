"""Shards of a run's branches, and the stores that hold their structures while it trains."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from hydracalc.recipe import BranchRecipe, Recipe
from hydracalc.shards.manifest import Manifest
from hydracalc.shards.reader import Shards
from hydracalc.shards.union import training_parts
from hydracalc.store.choice import StoreConfig
from hydracalc.store.places import Place
from hydracalc.store.store import StructureStore, open_store, verify_together


class BranchShards:
    """Folders of all branches, compared with their manifests by all ranks together.

    Attributes:
        manifests: of each branch.

    Args:
        recipe: names the folders.
        world: this process among all ranks.
    """

    def __init__(self, recipe: Recipe, world: Place) -> None:
        """Collective over the world.

        Raises:
            ValueError: a folder is missing or of another branch, or has nothing to train.
            DataError: shards are damaged.
        """
        self._recipe = recipe
        self._world = world
        self._opened: dict[int, Shards] = {}
        self.manifests = tuple(self._verified(branch) for branch in recipe.branches)

    def _verified(self, branch: BranchRecipe) -> Manifest:
        path = self._recipe.shards_of(branch)
        manifest = verify_together(path, self._world)
        if manifest.card.branch != branch.name:
            raise ValueError(f"branch {branch.name!r}: {path} holds {manifest.card.branch!r}")
        if not manifest.num_structures.get("train"):
            raise ValueError(f"branch {branch.name!r} has no training structures")
        return manifest

    def __getitem__(self, index: int) -> Shards:
        """Shards of a branch, opened when first asked for."""
        if index not in self._opened:
            path = self._recipe.shards_of(self._recipe.branches[index])
            self._opened[index] = Shards(path, self.manifests[index])
        return self._opened[index]

    def each(self, indices: Sequence[int]) -> list[Shards]:
        """Shards of some branches."""
        return [self[index] for index in indices]

    def close(self) -> None:
        """Give files and memory back; a branch that is asked for again is opened again."""
        for shards in self._opened.values():
            shards.close()
        self._opened.clear()

    def work(self) -> list[float]:
        """Atoms of each branch that an epoch draws, in a unit common to all branches.

        Collective over the world: each rank looks at some branches.
        """
        own = range(self._world.rank, len(self.manifests), self._world.size)
        found = {index: self._work(index) for index in own}
        told = {k: work for part in self._world.all_of(found) for k, work in part.items()}
        return [told[index] for index in range(len(self.manifests))]

    def _work(self, index: int) -> float:
        shards, branch = self[index], self._recipe.branches[index]
        num_atoms = shards.num_atoms[shards.splits == 0]
        share = branch.share * len(num_atoms) ** self._recipe.trainer.sampler.alpha
        often = [factor for size, factor in self.parts(index) for _ in range(size)]
        return float(share * np.average(num_atoms, weights=often or None))

    def parts(self, index: int) -> tuple[tuple[int, float], ...]:
        """Training structures and factor of each part of a branch; none where all are alike.

        Shards that were not united are one part, which has the whole share whatever its factor is.

        Raises:
            ValueError: the recipe has another number of them.
        """
        branch, sizes = self._recipe.branches[index], training_parts(self.manifests[index])
        if len(sizes) == 1:
            return ()
        if branch.part_shares and len(branch.part_shares) != len(sizes):
            raise ValueError(
                f"branch {branch.name!r}: part_shares has {len(branch.part_shares)} numbers, its "
                f"shards were united from {len(sizes)} folders"
            )
        return tuple(zip(sizes, branch.part_shares, strict=True)) if branch.part_shares else ()


@contextmanager
def stores_of(
    datasets: Sequence[Shards], splits: Sequence[str], config: StoreConfig, place: Place
) -> Iterator[dict[str, list[StructureStore]]]:
    """Stores of some splits of each dataset, for the time of the block.

    Collective over the place's ranks, at the begin and at the end. After an error with other ranks
    they are left to the end of the process: the others may not have failed, and closing would wait
    for them.

    Args:
        datasets: open; may be closed inside the block.
        splits: to open.
        config: with a kind that is not "auto".
        place: this process among the ranks that share the structures.

    Raises:
        ValueError: the kind cannot be had here.
        DataError: shards are damaged, on this rank or another.
    """
    opened: dict[str, list[StructureStore]] = {split: [] for split in splits}
    is_whole = False
    try:
        for shards in datasets:
            for split in splits:
                opened[split].append(open_store(shards, split, config=config, place=place))
        yield opened
        is_whole = True
    finally:
        if is_whole or place.size == 1:
            for store in (store for stores in opened.values() for store in stores):
                store.close()


def own_rows(stores: Sequence[StructureStore], place: Place) -> np.ndarray:
    """Structures of several stores, numbered through, that are this rank's of those in turns."""
    return np.arange(sum(map(len, stores)))[place.rank :: place.size]

"""What is to be trained: the model, and of every branch how much data of which size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.models.hydra import HydraConfig
from hydracalc.parallel.mesh import shared_out
from hydracalc.planning.memory import structure_bytes
from hydracalc.recipe import Recipe
from hydracalc.shards.reader import open_shards
from hydracalc.store.store import open_store

# structures of a branch whose neighbor lists are counted
_COUNTED = 200


@dataclass(frozen=True, kw_only=True)
class BranchLoad:
    """Training data of one branch.

    Attributes:
        name: of the branch.
        num_structures: in the training split.
        atoms: of a structure, on average.
        atoms_spread: standard deviation of that.
        edges: of a structure, on average.
        share: factor on how often its structures are drawn.
        most_atoms: of the largest structure; infinity where that is not known.
    """

    name: str
    num_structures: int
    atoms: float
    atoms_spread: float
    edges: float
    share: float = 1.0
    most_atoms: float = math.inf

    @property
    def structure_bytes(self) -> float:
        """Bytes of a stored structure."""
        return structure_bytes(self.atoms)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A model and the data it is trained on.

    Attributes:
        name: in words.
        model: shape.
        precision: of features and matrix products.
        branches: B of them.
        alpha: a branch of n structures is drawn in proportion to share x n^alpha.
        max_atoms, max_edges: of a rank's part of a batch.
        notes: what is assumed of it.
    """

    name: str
    model: HydraConfig
    precision: str
    branches: tuple[BranchLoad, ...]
    alpha: float
    max_atoms: int
    max_edges: int
    notes: tuple[str, ...] = ()

    @property
    def item_bytes(self) -> int:
        """Of one weight."""
        return 8 if self.precision == "float64" else 4

    @property
    def num_structures(self) -> int:
        """In all training splits."""
        return sum(branch.num_structures for branch in self.branches)

    def draws(self) -> np.ndarray:
        """Part of the drawn structures that are of each branch, (B,)."""
        weights = np.array([b.share * b.num_structures**self.alpha for b in self.branches])
        return weights / weights.sum()

    def per_structure(self) -> tuple[float, float]:
        """Atoms and edges of a drawn structure, on average."""
        draws = self.draws()
        atoms = np.array([branch.atoms for branch in self.branches])
        edges = np.array([branch.edges for branch in self.branches])
        return float(draws @ atoms), float(draws @ edges)

    def structures_per_rank(self) -> float:
        """Structures of a rank's part of a batch, by whichever budget is used up first."""
        atoms, edges = self.per_structure()
        return min(self.max_atoms / atoms, self.max_edges / edges)

    def with_total(self, num_structures: int) -> "Workload":
        """The same mix of data, so many structures in all.

        Raises:
            ValueError: there would be fewer than one for each branch.
        """
        if num_structures < len(self.branches):
            raise ValueError(
                f"{num_structures} structures for {len(self.branches)} branches, "
                "expected at least one for each"
            )
        counts = shared_out([branch.num_structures for branch in self.branches], num_structures)
        branches = [
            replace(branch, num_structures=count)
            for branch, count in zip(self.branches, counts, strict=True)
        ]
        note = f"{num_structures:,} structures in the mix of {self.name}"
        return replace(self, branches=tuple(branches), notes=(*self.notes, note))


def of_recipe(recipe: Recipe) -> Workload:
    """What a recipe's shards hold; some structures of each are read and their edges counted.

    Raises:
        ValueError: shards are missing, or a branch has no training structures.
        DataError: shards are damaged.
    """
    sampler = recipe.trainer.sampler
    notes = [f"edges of up to {_COUNTED} structures of each branch are counted"]
    if any(branch.part_shares for branch in recipe.branches):
        notes.append("structures of all parts of a branch count alike: part_shares is left aside")
    return Workload(
        name=recipe.name,
        model=recipe.model,
        precision=recipe.trainer.training.precision,
        branches=tuple(
            _load(branch.name, recipe.shards_of(branch), branch.share, recipe.model.cutoff)
            for branch in recipe.branches
        ),
        alpha=sampler.alpha,
        max_atoms=sampler.max_atoms,
        max_edges=sampler.max_edges,
        notes=tuple(notes),
    )


def _load(name: str, folder: Path, share: float, cutoff: float) -> BranchLoad:
    with open_shards(folder) as shards:
        store = open_store(shards, "train")
    if not len(store):
        raise ValueError(f"branch {name!r}: {folder} has no training structures")
    every = max(1, len(store) // _COUNTED)
    seen = store.fetch(np.arange(0, len(store), every))
    edges = [len(neighbor_list(s.positions, s.cell, s.pbc, cutoff).senders) for s in seen]
    return BranchLoad(
        name=name,
        num_structures=len(store),
        atoms=float(store.num_atoms.mean()),
        atoms_spread=float(store.num_atoms.std()),
        edges=_per_atom(edges, [s.num_atoms for s in seen]) * float(store.num_atoms.mean()),
        share=share,
        most_atoms=float(store.num_atoms.max()),
    )


def _per_atom(edges: Sequence[int], atoms: Sequence[int]) -> float:
    return sum(edges) / sum(atoms)

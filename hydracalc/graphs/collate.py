"""Structures side by side as one graph: what a model reads."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from hydracalc.errors import unknown
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.neighbors import Edges, neighbor_list
from hydracalc.structure import AtomicStructure


def collate(
    structures: Sequence[AtomicStructure],
    cutoff: float,
    *,
    branches: Mapping[str, int] | None = None,
    edges: Sequence[Edges] | None = None,
) -> AtomicGraph:
    """Put structures into one graph with the neighbors of every atom.

    Args:
        structures: at least one.
        cutoff: every pair of atoms nearer than this is an edge, Angstrom.
        branches: index of each branch name; None leaves all structures without a branch (-1).
        edges: the neighbor lists, where they are known already.

    Returns:
        Graph with float64 geometry and labels; labels that a structure lacks are NaN.

    Raises:
        ValueError: there is no structure or no atom, a branch is not among `branches`, or a
            structure has no neighbor list; the message names the structure.
    """
    if not structures:
        raise ValueError("a graph needs at least one structure, got 0")
    if edges is None:
        edges = [_edges(structure, cutoff) for structure in structures]
    elif len(edges) != len(structures):
        raise ValueError(f"{len(edges)} edge lists for {len(structures)} structures")
    num_atoms = np.array([len(structure.atomic_numbers) for structure in structures])
    if not num_atoms.all():
        raise ValueError(f"structure {_name(structures[int(np.argmin(num_atoms))])} has no atoms")
    return graph_of(
        {**_geometry(structures), **_labels(structures, num_atoms)},
        num_atoms,
        cutoff=cutoff,
        branch_index=_branch_index(structures, branches),
        edges=edges,
        names=tuple(structure.source for structure in structures),
    )


def graph_of(
    arrays: Mapping[str, np.ndarray],
    num_atoms: np.ndarray,
    *,
    cutoff: float,
    branch_index: np.ndarray,
    edges: Sequence[Edges],
    names: tuple[str, ...],
) -> AtomicGraph:
    """The graph of structures whose arrays are end to end already.

    Args:
        arrays: every field of the field table, writable; labels that are absent are NaN.
        num_atoms: of each structure, (S,).
        cutoff: of the neighbor lists, Angstrom.
        branch_index: of each structure, int64, (S,).
        edges: neighbor list of each structure, with integers of any size.
        names: of the structures, for messages.
    """
    first_atoms = np.repeat(np.cumsum(num_atoms) - num_atoms, [len(each) for each in edges])
    made = {
        "structure_index": np.repeat(np.arange(len(num_atoms)), num_atoms),
        "senders": np.concatenate([each.senders for each in edges]) + first_atoms,
        "receivers": np.concatenate([each.receivers for each in edges]) + first_atoms,
        "cell_shifts": np.concatenate([each.cell_shifts for each in edges]).astype(np.float64),
        "branch_index": branch_index,
    }
    tensors = {name: torch.from_numpy(array) for name, array in {**arrays, **made}.items()}
    return AtomicGraph(**tensors, cutoff=cutoff, names=names)


def _name(structure: AtomicStructure) -> str:
    return structure.source or f"(unnamed, {structure.num_atoms} atoms)"


def _edges(structure: AtomicStructure, cutoff: float) -> Edges:
    try:
        return neighbor_list(structure.positions, structure.cell, structure.pbc, cutoff)
    except ValueError as error:
        raise ValueError(f"structure {_name(structure)}: {error}") from None


def _geometry(structures: Sequence[AtomicStructure]) -> dict[str, np.ndarray]:
    return {
        "atomic_numbers": np.concatenate([each.atomic_numbers for each in structures]),
        "positions": np.concatenate([each.positions for each in structures]),
        "cell": np.stack([each.cell for each in structures]),
        "pbc": np.stack([each.pbc for each in structures]),
        "total_charge": np.array([each.total_charge for each in structures], dtype=np.int64),
        "spin_multiplicity": np.array(
            [each.spin_multiplicity for each in structures], dtype=np.int64
        ),
    }


def _labels(structures: Sequence[AtomicStructure], num_atoms: np.ndarray) -> dict[str, np.ndarray]:
    nothing = np.full((int(num_atoms.max()), 3), np.nan)
    return {
        "energy": np.array([np.nan if each.energy is None else each.energy for each in structures]),
        "forces": np.concatenate(
            [
                nothing[: each.num_atoms] if each.forces is None else each.forces
                for each in structures
            ]
        ),
        "stress": np.stack(
            [np.full((3, 3), np.nan) if each.stress is None else each.stress for each in structures]
        ),
    }


def _branch_index(
    structures: Sequence[AtomicStructure], branches: Mapping[str, int] | None
) -> np.ndarray:
    if branches is None:
        return np.full(len(structures), -1, dtype=np.int64)
    for structure in structures:
        if structure.branch not in branches:
            message = unknown("branch", structure.branch, branches)
            raise ValueError(f"structure {_name(structure)}: {message}")
    return np.array([branches[each.branch] for each in structures], dtype=np.int64)

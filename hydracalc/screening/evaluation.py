"""Structures of a block through the model, many at a time: one encoder, one backward pass.

A structure that cannot be predicted says why and disturbs no other.
"""

import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from hydracalc.graphs.batches import budget_batches
from hydracalc.graphs.collate import collate
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.neighbors import Edges, neighbor_list
from hydracalc.graphs.overlap import check_overlap
from hydracalc.models.prediction import Prediction
from hydracalc.predictor import Predictor, has_stress
from hydracalc.screening.block import Block
from hydracalc.screening.columns import CLOSE_ATOMS, NEW_TO_THE_BRANCHES
from hydracalc.structure import AtomicStructure
from hydracalc.support import doubts
from hydracalc.units import GIGAPASCAL

# the neighbor list of a structure, or why there is none
EdgesOrWhy = Edges | str


class Evaluation:
    """Fills the columns of blocks.

    Args:
        predictor: runs the model, every branch of it.
        workers: threads that make neighbor lists while the model computes; 0 makes them between.
        forces: whether forces are kept.
    """

    def __init__(self, predictor: Predictor, *, workers: int = 0, forces: bool = False) -> None:
        self.predictor = predictor
        self._forces = forces
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers) if workers else None

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def fill(self, block: Block) -> None:
        """Predict every structure of a block that can be predicted."""
        rows = [row for row in block.waiting if self.admit(block, row)]
        num_atoms = block.columns["num_atoms"][rows]
        batches = budget_batches(num_atoms, max_atoms=self.predictor.config.max_atoms)
        chunks = [[rows[place] for place in batch] for batch in batches]
        for chunk, edges in self._with_edges(block, chunks):
            usable = {
                row: near
                for row, near in zip(chunk, edges, strict=True)
                if not isinstance(near, str) and self._accept(block, row, near)
            }
            for row, near in zip(chunk, edges, strict=True):
                if isinstance(near, str):
                    block.fail(row, "no neighbor list", near)
            self._evaluate(block, list(usable), list(usable.values()))

    def admit(self, block: Block, row: int) -> bool:
        """Whether the branches know a structure; notes it where they do not, and doubts."""
        structure, predictor = of_row(block, row), self.predictor
        try:
            predictor.mixture.check(structure.atomic_numbers)
        except ValueError as error:
            block.fail(row, "unknown element", str(error))
            return False
        if doubts(predictor.model, predictor.mixture, structure):
            block.doubt(row, NEW_TO_THE_BRANCHES)
        return True

    def _with_edges(
        self, block: Block, chunks: Sequence[list[int]]
    ) -> Iterator[tuple[list[int], list[EdgesOrWhy]]]:
        """Rows of each batch with their neighbor lists, a few batches ahead of the model."""
        make = partial(edges_of, cutoff=self.predictor.model.config.cutoff)
        if self._pool is None:
            for chunk in chunks:
                yield chunk, make([of_row(block, row) for row in chunk])
            return
        ahead: deque[tuple[list[int], Future[list[EdgesOrWhy]]]] = deque()
        for chunk in chunks:
            structures = [of_row(block, row) for row in chunk]
            ahead.append((chunk, self._pool.submit(make, structures)))
            if len(ahead) > 2 * self._workers:
                done, edges = ahead.popleft()
                yield done, edges.result()
        for done, edges in ahead:
            yield done, edges.result()

    def _accept(self, block: Block, row: int, edges: Edges) -> bool:
        """Whether no two atoms are at one place; notes those that are close."""
        try:
            if are_close(of_row(block, row), edges):
                block.doubt(row, CLOSE_ATOMS)
        except ValueError as error:
            block.fail(row, "colliding atoms", str(error))
            return False
        return True

    def _evaluate(self, block: Block, rows: list[int], edges: list[Edges]) -> None:
        """Predict structures together; what one of them makes impossible is done in halves."""
        if not rows:
            return
        structures = [of_row(block, row) for row in rows]
        try:
            cutoff = self.predictor.model.config.cutoff
            graph = collate(structures, cutoff, edges=edges).to(self.predictor.device)
            weights = self.predictor.weights(graph)
            composition = self.predictor.compose(graph, weights)
            stress = any(has_stress(structure) for structure in structures)
            prediction = self.predictor.run(graph, composition, stress=stress)
        except (ValueError, torch.OutOfMemoryError) as error:
            if len(rows) == 1:
                block.fail(rows[0], why(error), str(error))
                return
            half = len(rows) // 2
            self._evaluate(block, rows[:half], edges[:half])
            self._evaluate(block, rows[half:], edges[half:])
            return
        fill_rows(block, rows, range(len(rows)), (graph, prediction, weights), forces=self._forces)


def edges_of(structures: Sequence[AtomicStructure], cutoff: float) -> list[EdgesOrWhy]:
    """Neighbor lists of structures; a message for one that has none."""
    found: list[EdgesOrWhy] = []
    for each in structures:
        try:
            found.append(neighbor_list(each.positions, each.cell, each.pbc, cutoff))
        except ValueError as error:
            found.append(str(error))
    return found


def are_close(structure: AtomicStructure, edges: Edges) -> bool:
    """Whether two atoms are much nearer than a bond.

    Raises:
        ValueError: two atoms are at the same place.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_overlap(structure, edges)
    return bool(caught)


def fill_rows(
    block: Block,
    rows: Sequence[int],
    places: Sequence[int],
    evaluated: tuple[AtomicGraph, Prediction, Tensor],
    *,
    forces: bool,
) -> None:
    """Put what a model says of structures into their rows.

    Args:
        block: with the rows.
        rows: one for each of the places.
        places: of the structures in the batch, ascending.
        evaluated: the batch, the prediction, and the weights of the branches, (S, B).
        forces: whether forces are kept.
    """
    graph, prediction, weights = evaluated
    chosen, target = np.asarray(places, dtype=np.int64), np.asarray(rows, dtype=np.int64)
    found = _columns(graph, prediction, weights)
    finite = np.isfinite(found["energy"][chosen]) & np.isfinite(found["max_force"][chosen])
    for row in target[~finite].tolist():
        block.fail(row, "overflow", "the energy or a force is not finite")
    chosen, target = chosen[finite], target[finite]
    for name, values in found.items():
        block.columns[name][target] = values[chosen]
    of_each = forces_of(graph, prediction) if forces else []
    for row, place in zip(target.tolist(), chosen.tolist(), strict=True):
        if not has_stress(of_row(block, row)):
            block.columns["pressure"][row] = np.nan
        if forces:
            block.forces[row] = of_each[place]


def forces_of(graph: AtomicGraph, prediction: Prediction) -> list[np.ndarray]:
    """Forces of each structure, eV/Angstrom, views of one array."""
    assert prediction.forces is not None
    forces = _array(prediction.forces)
    ends = np.cumsum(graph.atoms_per_structure.cpu().numpy())
    return [forces[start:end] for start, end in pairwise([0, *ends.tolist()])]


def _columns(graph: AtomicGraph, prediction: Prediction, weights: Tensor) -> dict[str, np.ndarray]:
    """Columns of a batch, (S,) and (S, B)."""
    assert prediction.forces is not None
    assert prediction.branch_energy is not None
    assert prediction.branch_interaction_energy is not None
    num_atoms = graph.atoms_per_structure.cpu().numpy()
    squares = np.square(_array(prediction.forces)).sum(axis=1)
    starts = np.cumsum(num_atoms) - num_atoms
    columns = {
        "energy": _array(prediction.energy),
        "interaction_energy": _array(prediction.interaction_energy),
        "uncertainty": _spread(_array(prediction.branch_interaction_energy)) / num_atoms,
        "max_force": np.sqrt(np.maximum.reduceat(squares, starts)),
        "branch_energy": _array(prediction.branch_energy),
        "weight": _array(weights),
    }
    if prediction.stress is not None:
        trace = np.trace(_array(prediction.stress), axis1=1, axis2=2)
        columns["pressure"] = -trace / 3 / GIGAPASCAL
    return columns


def _spread(energies: np.ndarray) -> np.ndarray:
    """Standard deviation between branches that know a structure, eV; NaN where fewer than two do.

    Args:
        energies: beyond references, eV, (S, B); NaN where a branch lacks an element.
    """
    known = np.isfinite(energies)
    count = known.sum(axis=1)
    filled = np.where(known, energies, 0.0)
    mean = filled.sum(axis=1) / np.maximum(count, 1)
    squares = np.where(known, np.square(filled - mean[:, None]), 0.0).sum(axis=1)
    return np.where(count >= 2, np.sqrt(squares / np.maximum(count, 1)), np.nan)


def of_row(block: Block, row: int) -> AtomicStructure:
    """The structure of a row that has one."""
    structure = block.structures[row]
    assert structure is not None
    return structure


def why(error: Exception) -> str:
    """Reason of a structure that the model could not evaluate."""
    return "out of memory" if isinstance(error, torch.OutOfMemoryError) else "refused"


def _array(values: Tensor) -> np.ndarray:
    return values.detach().to(torch.float64).cpu().numpy()

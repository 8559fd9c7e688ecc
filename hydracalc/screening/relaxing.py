"""Relaxation of many structures at once: those at rest leave the batch, others take their place."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hydracalc.graphs.collate import collate
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.neighbors import Edges
from hydracalc.graphs.verlet import VerletList
from hydracalc.models.inference import Composition
from hydracalc.models.prediction import Prediction
from hydracalc.predictor import Predictor, has_stress
from hydracalc.screening.block import Block
from hydracalc.screening.columns import CLOSE_ATOMS
from hydracalc.screening.evaluation import Evaluation, are_close, fill_rows, forces_of, of_row
from hydracalc.screening.fire import Fire
from hydracalc.screening.movers import Mover, MovingAtoms, MovingCell
from hydracalc.simulation import RelaxConfig

_SKIN = 0.5  # Angstrom, by which neighbor lists reach farther to serve several steps


@dataclass(eq=False)
class _Moving:
    """A structure that is under way.

    Attributes:
        row: of the block.
        mover: its coordinates.
        neighbors: its list, kept over steps.
        steps: taken so far.
    """

    row: int
    mover: Mover
    neighbors: VerletList
    steps: int = 0


@dataclass(frozen=True, eq=False)
class _Constant:
    """What holds while the structures of the batch are the same."""

    graph: AtomicGraph
    weights: Tensor
    composition: Composition


class Relaxation:
    """Relaxes the structures of blocks.

    Args:
        evaluation: predicts; its batches say how many atoms are under way at a time.
        config: when a structure is at rest, and whether its cell moves.
        forces: whether the last forces are kept.
    """

    def __init__(self, evaluation: Evaluation, config: RelaxConfig, *, forces: bool) -> None:
        self._evaluation = evaluation
        self._predictor: Predictor = evaluation.predictor
        self._config = config
        self._forces = forces

    def fill(self, block: Block) -> None:
        """Relax every structure of a block that can be, and put its end into the columns."""
        waiting = deque(row for row in block.waiting if self._evaluation.admit(block, row))
        moving: list[_Moving] = []
        fire, constant = Fire(), None
        while True:
            if self._enter(block, waiting, moving, fire):
                constant = None
            if not moving:
                return
            edges = [self._edges(block, each) for each in moving]
            stays = np.array([each is not None for each in edges])
            if stays.all():
                usable = [each for each in edges if each is not None]
                if constant is None:
                    constant = self._constant(moving, usable)
                stays = self._step(block, moving, fire, (constant, usable))
            if not stays.all():
                moving = [each for each, stay in zip(moving, stays, strict=True) if stay]
                fire.leave(stays)
                constant = None

    def _enter(self, block: Block, waiting: deque[int], moving: list[_Moving], fire: Fire) -> bool:
        """Fill the batch up; whether anything was added."""
        before, num_atoms = len(moving), sum(each.mover.structure.num_atoms for each in moving)
        while waiting:
            structure = of_row(block, waiting[0])
            if moving and num_atoms + structure.num_atoms > self._predictor.config.max_atoms:
                break
            row = waiting.popleft()
            try:
                mover: Mover = (
                    MovingAtoms(structure) if self._config.cell == "none" else MovingCell(structure)
                )
            except ValueError as error:
                block.fail(row, "refused", str(error))
                continue
            neighbors = VerletList(self._predictor.model.config.cutoff, _SKIN)
            moving.append(_Moving(row, mover, neighbors))
            fire.enter(mover.size)
            num_atoms += structure.num_atoms
        return len(moving) > before

    def _edges(self, block: Block, each: _Moving) -> Edges | None:
        """Neighbors of a structure as it is now; None where there are none to be had."""
        structure, reason = each.mover.structure, "no neighbor list"
        try:
            edges = each.neighbors.edges(structure.positions, structure.cell, structure.pbc)
            if each.steps == 0:
                reason = "colliding atoms"
                if are_close(structure, edges):
                    block.doubt(each.row, CLOSE_ATOMS)
        except ValueError as error:
            block.fail(each.row, reason, f"{error} (after {each.steps} steps)")
            return None
        return edges

    def _constant(self, moving: Sequence[_Moving], edges: Sequence[Edges]) -> _Constant:
        structures = [each.mover.structure for each in moving]
        cutoff = self._predictor.model.config.cutoff
        graph = collate(structures, cutoff, edges=edges).to(self._predictor.device)
        weights = self._predictor.weights(graph)
        return _Constant(graph, weights, self._predictor.compose(graph, weights))

    def _step(
        self,
        block: Block,
        moving: Sequence[_Moving],
        fire: Fire,
        now: tuple[_Constant, list[Edges]],
    ) -> np.ndarray:
        """Evaluate the batch, note what is at rest, move the others; which of them go on, (S,)."""
        constant, edges = now
        graph = _moved(constant.graph, moving, edges)
        stress = any(has_stress(each.mover.structure) for each in moving)
        prediction = self._predictor.run(graph, constant.composition, stress=stress)
        on_rows = _on_coordinates(moving, graph, prediction)
        energies = prediction.energy.cpu().numpy()
        stays = np.ones(len(moving), dtype=bool)
        for place, (each, forces) in enumerate(zip(moving, on_rows, strict=True)):
            if each.steps == 0:
                block.columns["energy_start"][each.row] = energies[place]
            largest = np.sqrt(np.square(forces).sum(axis=1).max())
            at_rest = bool(largest < self._config.fmax)
            broken = not np.isfinite(largest) or not np.isfinite(energies[place])
            stays[place] = not (at_rest or broken or each.steps >= self._config.steps)
            if not stays[place]:
                block.structures[each.row] = each.mover.structure
                block.columns["steps"][each.row] = each.steps
                block.columns["converged"][each.row] = at_rest
        gone = np.flatnonzero(~stays).tolist()
        rows = [moving[place].row for place in gone]
        fill_rows(block, rows, gone, (graph, prediction, constant.weights), forces=self._forces)
        self._move(moving, fire, on_rows, stays)
        return stays

    def _move(
        self,
        moving: Sequence[_Moving],
        fire: Fire,
        on_rows: Sequence[np.ndarray],
        stays: np.ndarray,
    ) -> None:
        # what has ended moves no more: its numbers may not be finite
        forces = [
            each if stay else np.zeros_like(each) for each, stay in zip(on_rows, stays, strict=True)
        ]
        increments = np.split(fire.move(np.concatenate(forces)), np.cumsum(fire.sizes)[:-1])
        for each, increment, stay in zip(moving, increments, stays, strict=True):
            if stay:
                each.mover.move(increment)
                each.steps += 1


def _on_coordinates(
    moving: Sequence[_Moving], graph: AtomicGraph, prediction: Prediction
) -> list[np.ndarray]:
    """Forces on the coordinates of each structure."""
    stress = None if prediction.stress is None else prediction.stress.cpu().numpy()
    return [
        each.mover.forces(forces, None if stress is None else stress[place].astype(np.float64))
        for place, (each, forces) in enumerate(
            zip(moving, forces_of(graph, prediction), strict=True)
        )
    ]


def _moved(graph: AtomicGraph, moving: Sequence[_Moving], edges: Sequence[Edges]) -> AtomicGraph:
    """The graph of the batch with atoms, cells and edges where they are now."""
    structures = [each.mover.structure for each in moving]
    num_edges = [len(each) for each in edges]
    first_atom = np.cumsum([0, *(each.num_atoms for each in structures[:-1])])
    first_edge = np.cumsum([0, *num_edges[:-1]])
    shift = np.repeat(first_atom, num_edges)
    pairs = [_known(each.pair_index) + start for each, start in zip(edges, first_edge, strict=True)]
    device = graph.positions.device

    def on_device(arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays)).to(device)

    return replace(
        graph,
        positions=on_device([each.positions for each in structures]),
        cell=torch.from_numpy(np.stack([each.cell for each in structures])).to(device),
        senders=on_device([np.concatenate([each.senders for each in edges]) + shift]),
        receivers=on_device([np.concatenate([each.receivers for each in edges]) + shift]),
        cell_shifts=on_device([each.cell_shifts for each in edges]).to(torch.float64),
        edge_vectors=on_device([_known(each.displacements) for each in edges]),
        pair_index=on_device(pairs),
    )


def _known(array: np.ndarray | None) -> np.ndarray:
    assert array is not None  # lists with a skin have it
    return array

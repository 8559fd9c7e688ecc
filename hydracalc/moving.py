"""One structure whose atoms move: what stays the same between steps is computed once."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hydracalc.graphs.collate import collate
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.neighbors import Edges
from hydracalc.graphs.overlap import check_overlap
from hydracalc.graphs.verlet import VerletList
from hydracalc.models.inference import Composition
from hydracalc.predictor import Predictor, StructurePrediction, has_stress
from hydracalc.structure import AtomicStructure
from hydracalc.support import warn_of_doubts


@dataclass(frozen=True, kw_only=True, eq=False)
class _Constant:
    """What depends on composition, charge and spin alone."""

    atomic_numbers: np.ndarray
    pbc: np.ndarray
    state: tuple[int, int]
    graph: AtomicGraph
    weights: Tensor
    composition: Composition

    def holds_for(self, structure: AtomicStructure) -> bool:
        """Whether the structure differs in positions and cell at most."""
        return (
            self.state == (structure.total_charge, structure.spin_multiplicity)
            and np.array_equal(self.atomic_numbers, structure.atomic_numbers)
            and np.array_equal(self.pbc, structure.pbc)
        )


class MovingStructure:
    """Predictions for one structure after another, fast where only positions and cell change.

    Args:
        predictor: runs the model.
        skin: extra reach of the neighbor list, so that it serves several steps, Angstrom.
    """

    def __init__(self, predictor: Predictor, skin: float) -> None:
        self.predictor = predictor
        self._neighbors = VerletList(predictor.model.config.cutoff, skin)
        self._num_checked = 0
        self._constant: _Constant | None = None

    def predict(self, structure: AtomicStructure) -> StructurePrediction:
        """The prediction, the same as `Predictor.predict` gives.

        Raises:
            ValueError: as there.
        """
        constant, edges = self._constant, None
        if constant is None or not constant.holds_for(structure):
            self.predictor.mixture.check(structure.atomic_numbers)
            warn_of_doubts(self.predictor.model, self.predictor.mixture, structure)
            edges = self._edges(structure)
            constant = self._start(structure, edges)
        else:
            edges = self._edges(structure)
        graph = self._moved(constant.graph, structure, edges)
        prediction = self.predictor.run(graph, constant.composition, stress=has_stress(structure))
        return self.predictor.records([structure], prediction, constant.weights)[0]

    def _edges(self, structure: AtomicStructure) -> Edges:
        edges = self._neighbors.edges(structure.positions, structure.cell, structure.pbc)
        if self._neighbors.num_rebuilds != self._num_checked:
            check_overlap(structure, edges)
            self._num_checked = self._neighbors.num_rebuilds
        return edges

    def _start(self, structure: AtomicStructure, edges: Edges) -> _Constant:
        cutoff = self.predictor.model.config.cutoff
        graph = collate([structure], cutoff, edges=[edges]).to(self.predictor.device)
        weights = self.predictor.weights(graph)
        # copies: the arrays of a structure may be those of the user's Atoms
        self._constant = _Constant(
            atomic_numbers=structure.atomic_numbers.copy(),
            pbc=structure.pbc.copy(),
            state=(structure.total_charge, structure.spin_multiplicity),
            graph=graph,
            weights=weights,
            composition=self.predictor.compose(graph, weights),
        )
        return self._constant

    def _moved(self, graph: AtomicGraph, structure: AtomicStructure, edges: Edges) -> AtomicGraph:
        device = self.predictor.device
        return replace(
            graph,
            positions=torch.from_numpy(structure.positions).to(device),
            cell=torch.from_numpy(structure.cell[None]).to(device),
            senders=torch.from_numpy(edges.senders).to(device),
            receivers=torch.from_numpy(edges.receivers).to(device),
            cell_shifts=torch.from_numpy(edges.cell_shifts).to(device, torch.float64),
            edge_vectors=_tensor(edges.displacements, device),
            pair_index=_tensor(edges.pair_index, device),
        )


def _tensor(array: np.ndarray | None, device: torch.device) -> Tensor | None:
    return None if array is None else torch.from_numpy(array).to(device)

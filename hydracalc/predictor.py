"""Predictions for many structures at once: batches by number of atoms, results as NumPy records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from hydracalc.errors import unknown
from hydracalc.graphs.batches import budget_batches
from hydracalc.graphs.collate import collate
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.graphs.overlap import check_overlap
from hydracalc.mixture import BranchChoice, Mixture, choose
from hydracalc.models.hydra import HydraModel
from hydracalc.models.inference import Composition, compose, infer
from hydracalc.models.prediction import Prediction
from hydracalc.structure import AtomicStructure
from hydracalc.support import warn_of_doubts

REFERENCES = ("total", "interaction")
FORCES = ("conservative", "direct")


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """What is asked of a model.

    Attributes:
        branch: None (the model's default), "auto", a branch, or weights of branches by name.
        reference: "total" is the branch's published scale, "interaction" leaves references out.
        forces: "conservative", "direct", or None for energies alone.
        every_branch: also evaluate the branches that have no weight.
        compile: let torch compile energy and derivatives into one function.
        max_atoms: atoms in one batch; a larger structure is a batch alone.
    """

    branch: BranchChoice = None
    reference: Literal["total", "interaction"] = "total"
    forces: Literal["conservative", "direct"] | None = "conservative"
    every_branch: bool = False
    compile: bool = False
    max_atoms: int = 1024

    def __post_init__(self) -> None:
        if self.reference not in REFERENCES:
            raise ValueError(unknown("reference", str(self.reference), REFERENCES))
        if self.forces is not None and self.forces not in FORCES:
            raise ValueError(unknown("kind of forces", str(self.forces), FORCES))
        if self.max_atoms < 1:
            raise ValueError(f"max_atoms is {self.max_atoms}, expected at least 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class StructurePrediction:
    """What a model says of one structure.

    Attributes:
        energy: eV, with or without references as asked.
        energies: of each atom, eV, float64, (N,).
        interaction_energy: energy beyond the references, eV.
        forces: eV/Angstrom, float64, (N, 3); None where not asked for.
        stress: tension positive, eV/Angstrom^3, float64, (3, 3); None unless the structure is
            periodic and its cell has a volume, or where forces are not derivatives.
        branch_weights: weight of each branch.
        branch_energies: energy of each branch that knows all elements, eV; empty where one branch
            was evaluated alone.
        branch_interaction_energies: the same beyond each branch's references, eV.
    """

    energy: float
    energies: np.ndarray
    interaction_energy: float
    forces: np.ndarray | None
    stress: np.ndarray | None
    branch_weights: dict[str, float]
    branch_energies: dict[str, float]
    branch_interaction_energies: dict[str, float]

    @property
    def properties(self) -> dict[str, Any]:
        """ASE's properties: numbers as Python floats, arrays float64, stress as six numbers."""
        properties: dict[str, Any] = {
            "energy": self.energy,
            "free_energy": self.energy,
            "energies": self.energies,
            "forces": self.forces,
        }
        if self.stress is not None:
            properties["stress"] = full_3x3_to_voigt_6_stress(self.stress)
        return properties

    def spread(self) -> dict[str, float]:
        """Standard deviation between the branches that know the structure.

        Returns:
            "energy" beyond references, eV; "energy_per_atom", eV/atom; "num_branches".

        Raises:
            ValueError: fewer than two branches know all elements.
        """
        values = self.branch_interaction_energies
        if len(values) < 2:
            raise ValueError(
                "the spread between branches needs two that know all elements, "
                f"but only {sorted(values)} do"
            )
        deviation = float(np.std(list(values.values())))
        return {
            "energy": deviation,
            "energy_per_atom": deviation / len(self.energies),
            "num_branches": len(values),
        }


class Predictor:
    """Runs a model on structures; the model and the structures are not changed.

    Args:
        model: in evaluation mode.
        config: what is asked of it.

    Raises:
        ValueError: the model has no such branch, no trained weighting for "auto", or no direct
            force heads.
    """

    def __init__(self, model: HydraModel, config: InferenceConfig | None = None) -> None:
        self.config = config or InferenceConfig()
        self.model = model
        self.mixture: Mixture = choose(model, self.config.branch)
        if self.config.forces == "direct" and not model.config.direct_forces:
            raise ValueError("this model has no direct force heads; use forces='conservative'")
        self.device = next(model.parameters()).device
        self._infer: Callable[..., Prediction] = partial(infer, model)
        if self.config.compile:
            # loads torch's compiler, which nothing else needs
            from hydracalc.models.tracing import TracedModel

            self._infer = TracedModel(model)

    def predict(self, structures: Sequence[AtomicStructure]) -> list[StructurePrediction]:
        """Predictions in the order of the structures, which do not influence each other.

        Raises:
            ValueError: a structure is empty, not finite, has elements the branch does not know, or
                its energy is not finite; the message names the structure.
        """
        results: list[StructurePrediction] = []
        for batch in self.batches(structures):
            results += self.predict_batch([structures[i] for i in batch])
        return results

    def batches(
        self, structures: Sequence[AtomicStructure], *, max_atoms: int | None = None
    ) -> list[np.ndarray]:
        """Indices of the structures of each batch, in order; `max_atoms` overrides the config's."""
        num_atoms = np.array([structure.num_atoms for structure in structures], dtype=np.int64)
        limit = self.config.max_atoms if max_atoms is None else max_atoms
        return budget_batches(num_atoms, max_atoms=limit)

    def predict_batch(self, structures: Sequence[AtomicStructure]) -> list[StructurePrediction]:
        """Predictions of structures that are evaluated together."""
        for index, structure in enumerate(structures):
            try:
                self.mixture.check(structure.atomic_numbers)
            except ValueError as error:
                raise ValueError(f"{_name(structure, index)}: {error}") from None
            warn_of_doubts(self.model, self.mixture, structure)
        graph = self._graph(structures)
        stress = any(has_stress(structure) for structure in structures)
        weights = self.weights(graph)
        prediction = self.run(graph, self.compose(graph, weights), stress=stress)
        return self.records(structures, prediction, weights)

    def branch_weights(self, structure: AtomicStructure) -> dict[str, float]:
        """Weight of every branch for a structure.

        Raises:
            ValueError: the chosen branch, or with "auto" every branch, lacks an element.
        """
        self.mixture.check(structure.atomic_numbers)
        return self._named(_array(self.weights(self._graph([structure]))), 0)

    def survey(self, structure: AtomicStructure) -> StructurePrediction:
        """Energies of every branch that knows a structure; the energy is their mean.

        Raises:
            ValueError: no branch knows all elements.
        """
        knows = self.mixture.supporting(structure.atomic_numbers)
        if not knows.any():
            replace(self.mixture, weights=None).check(structure.atomic_numbers)
        graph = self._graph([structure])
        weights = torch.from_numpy(knows / knows.sum()).to(self.device)[None]
        with torch.no_grad():
            prediction = self.model(
                graph, weights=weights, forces=None, reference=self.config.reference
            )
        return self.records([structure], prediction, weights)[0]

    def descriptors(self, structure: AtomicStructure) -> np.ndarray:
        """What the encoder says of each atom's surroundings, float64, (N, C).

        Raises:
            ValueError: the structure is empty, or no branch knows its elements.
        """
        replace(self.mixture, weights=None).check(structure.atomic_numbers)
        graph = self._graph([structure])
        with torch.no_grad():
            vectors = graph.displacements().to(self.model.dtype)
            features = self.model.encode(graph.with_edge_vectors(vectors))
        return features.scalars.to(torch.float64).cpu().numpy()

    def weights(self, graph: AtomicGraph) -> Tensor:
        """Weight of each branch for each structure, float64, (S, B)."""
        if self.mixture.weights is None:
            with torch.no_grad():
                return self.model.branch_weights(graph).to(torch.float64)
        fixed = torch.as_tensor(self.mixture.weights, device=self.device)
        return fixed.expand(graph.num_structures, -1)

    def compose(self, graph: AtomicGraph, weights: Tensor) -> Composition:
        """What depends on composition alone; serves `run` for as long as atoms only move.

        Args:
            graph: the batch, on the model's device.
            weights: of the branches, (S, B).
        """
        index = self.mixture.index
        if index is not None and not self.config.every_branch:
            own = replace(graph, branch_index=torch.full_like(graph.total_charge, index))
            return compose(self.model, own, None)
        return compose(self.model, graph, weights)

    def run(self, graph: AtomicGraph, composition: Composition, *, stress: bool) -> Prediction:
        """The model's own answer for a graph on its device.

        Args:
            graph: the batch.
            composition: what `compose` gave for it.
            stress: also take the strain derivative; ignored unless forces are derivatives.

        Raises:
            RuntimeError: the model was to be compiled, and torch cannot on this machine or for
                this encoder.
        """
        return self._infer(
            graph,
            composition,
            forces=self.config.forces,
            stress=stress and self.config.forces == "conservative",
            reference=self.config.reference,
        )

    def records(
        self,
        structures: Sequence[AtomicStructure],
        prediction: Prediction,
        weights: Tensor,
    ) -> list[StructurePrediction]:
        """One record for each structure of a batch.

        Raises:
            ValueError: an energy or a force is not finite.
        """
        energies = _split(prediction.energies, structures)
        forces = _split(prediction.forces, structures)
        stress = _array(prediction.stress)
        shares = _array(weights)
        by_branch = _array(prediction.branch_energy)
        interaction_by_branch = _array(prediction.branch_interaction_energy)
        energy, interaction = _array(prediction.energy), _array(prediction.interaction_energy)
        assert energy is not None
        assert interaction is not None
        records = []
        for s, structure in enumerate(structures):
            own_forces, own_energies = forces[s], energies[s]
            assert own_energies is not None
            _check_finite(structure, s, float(energy[s]), own_forces)
            records.append(
                StructurePrediction(
                    energy=float(energy[s]),
                    energies=own_energies,
                    interaction_energy=float(interaction[s]),
                    forces=own_forces,
                    stress=stress[s] if stress is not None and has_stress(structure) else None,
                    branch_weights=self._named(shares, s),
                    branch_energies=self._named(by_branch, s),
                    branch_interaction_energies=self._named(interaction_by_branch, s),
                )
            )
        return records

    def _named(self, values: np.ndarray | None, structure: int) -> dict[str, float]:
        """Numbers of one structure by branch, without those that are NaN."""
        if values is None:
            return {}
        row = values[structure]
        return {self.mixture.names[b]: float(row[b]) for b in np.nonzero(np.isfinite(row))[0]}

    def _graph(self, structures: Sequence[AtomicStructure]) -> AtomicGraph:
        cutoff, edges = self.model.config.cutoff, []
        for index, structure in enumerate(structures):
            try:
                near = neighbor_list(structure.positions, structure.cell, structure.pbc, cutoff)
                check_overlap(structure, near)
            except ValueError as error:
                raise ValueError(f"{_name(structure, index)}: {error}") from None
            edges.append(near)
        return collate(structures, cutoff, edges=edges).to(self.device)


def has_stress(structure: AtomicStructure) -> bool:
    """Whether stress has a meaning: the structure is periodic and its cell has a volume."""
    return bool(structure.pbc.any()) and abs(np.linalg.det(structure.cell)) > 0


def _array(values: Tensor | None) -> np.ndarray | None:
    return None if values is None else values.detach().to(torch.float64).cpu().numpy()


def _split(
    values: Tensor | None, structures: Sequence[AtomicStructure]
) -> Sequence[np.ndarray | None]:
    """Values of each structure's atoms, as arrays of their own."""
    array = _array(values)
    if array is None:
        return [None] * len(structures)
    if len(structures) == 1:
        return [array.copy()]
    ends = np.cumsum([structure.num_atoms for structure in structures])
    return [part.copy() for part in np.split(array, ends[:-1])]


def _check_finite(
    structure: AtomicStructure, index: int, energy: float, forces: np.ndarray | None
) -> None:
    if not np.isfinite(energy) or (forces is not None and not np.isfinite(forces).all()):
        raise ValueError(f"{_name(structure, index)}: the energy or a force is not finite")


def _name(structure: AtomicStructure, index: int) -> str:
    return f"structure {structure.source or index}"

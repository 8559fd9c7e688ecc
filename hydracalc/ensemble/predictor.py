"""Runs several models on the same structures: one neighbor list, one graph, members side by side.

On the processor members are shared out among torch's threads. Measured beside it
(`benchmarks/ensemble.py ways`): torch.vmap over stacked weights cannot use the compiled loops and
their written-out derivatives, and is slower than one member after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hydracalc.ensemble.prediction import (
    DDOF,
    EnsemblePrediction,
    MembersComposition,
    MembersPrediction,
)
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.kernels import threads
from hydracalc.models.hydra import HydraModel
from hydracalc.models.inference import Composition
from hydracalc.models.prediction import Prediction
from hydracalc.predictor import InferenceConfig, Predictor, StructurePrediction, has_stress
from hydracalc.structure import AtomicStructure

_AVERAGED = (
    "energy",
    "energies",
    "interaction_energy",
    "forces",
    "stress",
    "branch_energy",
    "branch_interaction_energy",
)


class EnsemblePredictor(Predictor):
    """The mean of several models, and their spread.

    Members may differ in encoder, size and cutoff, not in their branches. With "auto" every member
    weighs branches by its own network. An element must be known to the branch of every member.

    Args:
        models: at least two, in evaluation mode, on one device.
        config: what is asked of each.

    Raises:
        ValueError: there are fewer than two models, or their branches are not the same.
    """

    def __init__(self, models: Sequence[HydraModel], config: InferenceConfig | None = None) -> None:
        _check_members(models)
        # the graph is made for the farthest sight; the first of those speaks for all
        super().__init__(max(models, key=lambda model: model.config.cutoff), config)
        self.members = [Predictor(model, self.config) for model in models]
        known = np.all([member.mixture.supported for member in self.members], axis=0)
        self.mixture = replace(self.mixture, supported=known)

    def weights(self, graph: AtomicGraph) -> Tensor:
        """Weight that each member gives each branch for each structure, float64, (M, S, B)."""
        return torch.stack([member.weights(graph) for member in self.members])

    def branch_weights(self, structure: AtomicStructure) -> dict[str, float]:
        """Mean weight of every branch for a structure.

        Raises:
            ValueError: as `Predictor.branch_weights`.
        """
        found = [member.branch_weights(structure) for member in self.members]
        return {name: float(np.mean([each[name] for each in found])) for name in found[0]}

    def descriptors(self, structure: AtomicStructure) -> np.ndarray:
        """What the members' encoders say of each atom's surroundings, side by side, (N, sum C)."""
        return np.hstack([member.descriptors(structure) for member in self.members])

    def survey(self, structure: AtomicStructure) -> StructurePrediction:
        """Energies of every branch that knows a structure, means over members.

        Raises:
            ValueError: as `Predictor.survey`.
        """
        each = [member.survey(structure) for member in self.members]

        def means(name: str) -> dict[str, float]:
            values = [getattr(one, name) for one in each]
            common = set.intersection(*(set(one) for one in values))
            return {b: float(np.mean([one[b] for one in values])) for b in values[0] if b in common}

        return replace(
            each[0],
            energy=float(np.mean([one.energy for one in each])),
            energies=np.mean([one.energies for one in each], axis=0),
            interaction_energy=float(np.mean([one.interaction_energy for one in each])),
            branch_energies=means("branch_energies"),
            branch_interaction_energies=means("branch_interaction_energies"),
        )

    def compose(self, graph: AtomicGraph, weights: Tensor) -> MembersComposition:
        """What depends on composition alone, for every member.

        Args:
            graph: the batch, on the members' device.
            weights: as `weights` gives them, (M, S, B).
        """
        each = tuple(
            member.compose(graph, own) for member, own in zip(self.members, weights, strict=True)
        )
        return MembersComposition(**vars(each[0]), each=each)

    def run(
        self, graph: AtomicGraph, composition: Composition, *, stress: bool
    ) -> MembersPrediction:
        """The members' answers for a graph, and their mean.

        Raises:
            RuntimeError: as `Predictor.run`.
        """
        assert isinstance(composition, MembersComposition)
        vectors = graph.displacements() if graph.edge_vectors is None else graph.edge_vectors
        graph = replace(graph, edge_vectors=vectors, pair_index=graph.pairs())
        graphs: dict[float, AtomicGraph] = {graph.cutoff: graph}
        for member in self.members:
            cutoff = member.model.config.cutoff
            if cutoff not in graphs:
                graphs[cutoff] = _nearer(graph, cutoff)
        tasks = [
            partial(member.run, graphs[member.model.config.cutoff], own, stress=stress)
            for member, own in zip(self.members, composition.each, strict=True)
        ]
        each = tuple(self._all_of(tasks, graph))
        return MembersPrediction(**_means(each), each=each)  # type: ignore[arg-type]  # by name

    def _all_of(
        self, tasks: Sequence[Callable[[], Prediction]], graph: AtomicGraph
    ) -> list[Prediction]:
        """What the members say, in their order; on threads where that is of use."""
        count = min(torch.get_num_threads(), len(tasks))
        channels = self.model.config.num_channels
        # a structure for which one member alone has work for more threads than there are members
        is_large = len(threads.shares(graph.num_edges // 2, channels)) > count
        if self.device.type != "cpu" or self.config.compile or count < 2 or is_large:
            return [task() for task in tasks]
        parts = [tasks[start::count] for start in range(count)]
        found = threads.run([partial(_in_turn, part) for part in parts])
        return [found[k % count][k // count] for k in range(len(tasks))]

    def records(
        self, structures: Sequence[AtomicStructure], prediction: Prediction, weights: Tensor
    ) -> list[StructurePrediction]:
        """One `EnsemblePrediction` for each structure of a batch.

        Raises:
            ValueError: an energy or a force is not finite.
        """
        assert isinstance(prediction, MembersPrediction)
        means = super().records(structures, prediction, weights.mean(dim=0))
        each = prediction.each
        energy = _deviation([one.energy for one in each])
        forces = _deviation([one.forces for one in each])
        stress = _deviation([one.stress for one in each])
        assert energy is not None
        ends = np.cumsum([0, *(structure.num_atoms for structure in structures)])
        return [
            EnsemblePrediction(
                **vars(mean),
                num_members=len(each),
                energy_std=float(energy[s]),
                forces_std=None if forces is None else forces[ends[s] : ends[s + 1]].copy(),
                stress_std=stress[s] if stress is not None and has_stress(structure) else None,
            )
            for s, (structure, mean) in enumerate(zip(structures, means, strict=True))
        ]


def _check_members(models: Sequence[HydraModel]) -> None:
    """Refuse what cannot answer together.

    Raises:
        ValueError: it cannot.
    """
    if len(models) < 2:
        raise ValueError(f"an ensemble of {len(models)} members has no spread, expected 2 or more")
    first = models[0].branch_names
    for number, model in enumerate(models):
        if model.branch_names != first:
            raise ValueError(
                f"members of an ensemble have the same branches in the same order: member 0 has "
                f"{list(first)}, member {number} has {list(model.branch_names)}"
            )


def _in_turn(tasks: Sequence[Callable[[], Prediction]]) -> list[Prediction]:
    return [task() for task in tasks]


def _nearer(graph: AtomicGraph, cutoff: float) -> AtomicGraph:
    """The graph without the edges beyond a shorter cutoff."""
    assert graph.edge_vectors is not None
    near = torch.linalg.vector_norm(graph.edge_vectors, dim=-1) < cutoff
    parts = {
        name: getattr(graph, name)[near]
        for name in ("senders", "receivers", "cell_shifts", "edge_vectors")
    }
    return replace(graph, **parts, cutoff=cutoff, pair_index=None)


def _means(each: Sequence[Prediction]) -> dict[str, Tensor | None]:
    """Means over members of all that predictions hold, in float64."""
    means: dict[str, Tensor | None] = {}
    for name in _AVERAGED:
        values = [getattr(one, name) for one in each]
        has_all = all(value is not None for value in values)
        means[name] = torch.stack([v.double() for v in values]).mean(dim=0) if has_all else None
    return means


def _deviation(values: Sequence[Tensor | None]) -> np.ndarray | None:
    """Standard deviation over members; None where they say nothing."""
    known = [value.double() for value in values if value is not None]
    if not known:
        return None
    return torch.stack(known).std(dim=0, correction=DDOF).cpu().numpy()

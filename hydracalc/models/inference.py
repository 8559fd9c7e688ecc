"""Predictions without training: nothing is kept but what forces and stress need.

What depends on the composition alone is made once (`compose`) and serves for as long as atoms only
move; derivatives are carried back by hand wherever a model has the means for it.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models import derivatives
from hydracalc.models.branches import Branches, BranchSpec, HeadPullback
from hydracalc.models.contact import Contact
from hydracalc.models.encoder import Features, Pullback
from hydracalc.models.painn import PaiNN
from hydracalc.models.painn_pullback import PaiNNPullback
from hydracalc.models.prediction import Prediction
from hydracalc.models.repulsion import Repulsion


class Model(Protocol):
    """What predictions are made with: `hydra.HydraModel`, which this file is below."""

    encoder: nn.Module
    branches: Branches
    branch_specs: tuple[BranchSpec, ...]
    repulsion: Repulsion | None
    contact: Contact | None

    @property
    def dtype(self) -> torch.dtype:
        """Type the encoder computes in."""
        ...

    @property
    def can_write_derivatives_out(self) -> bool:
        """Whether compiled loops may stand in for autograd."""
        ...

    def encode(self, graph: AtomicGraph) -> Features:
        """Features of every atom of a graph whose edge vectors are set."""
        ...

    def check_branches(self, graph: AtomicGraph) -> None:
        """Refuse structures without a branch of this model."""
        ...

    def refuse_element(self, branch: int, atomic_number: int) -> None:
        """Say that a branch does not know an element."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Composition:
    """What predictions need of a graph's composition and of the chosen branches.

    Attributes:
        branches: those evaluated, b of them.
        weights: of each branch for each atom, float64, (b, N).
        heads: energy heads of the branches.
        scales: energy that each branch's head output of one stands for, eV, float64, (b, 1).
        alone: what each branch's head says of each atom without neighbors, (b, N).
        reference: of each atom in the mixture, eV, float64, (N,).
        total_reference: of each structure in the mixture, eV, float64, (S,).
        branch_reference: of each structure in each branch, eV, float64, (S, b), NaN: unsupported;
            None where structures are evaluated by their own branch.
        start: scalars of each atom before the first layer, (N, C), and the encoder that starts from
            them; None where the encoder starts from the graph.
    """

    branches: slice
    weights: Tensor
    heads: HeadPullback
    scales: Tensor
    alone: Tensor
    reference: Tensor
    total_reference: Tensor
    branch_reference: Tensor | None
    start: tuple[Tensor, PaiNNPullback] | None


@torch.no_grad()
def compose(model: Model, graph: AtomicGraph, weights: Tensor | None) -> Composition:
    """What depends on elements, charge, spin and branches alone.

    Args:
        model: whose weights stay as they are while the result is used.
        graph: the batch; its positions and edges do not matter.
        weights: weight of each branch for each structure, (S, B); None evaluates every structure by
            `graph.branch_index`.

    Raises:
        ValueError: a structure has an element its branch does not know, or no branch.
    """
    branches, of_structure = _shares(model, graph, weights)
    of_atom = of_structure.index_select(0, graph.structure_index).T.contiguous()  # (b, N)
    references = model.branches.reference_energies(graph.atomic_numbers)[branches]  # (b, N)
    unknown = torch.isnan(references) & (of_atom > 0)
    if bool(unknown.any()):
        branch, atom = unknown.nonzero()[0].tolist()
        model.refuse_element((branches.start or 0) + branch, int(graph.atomic_numbers[atom]))
    start = None
    if isinstance(model.encoder, PaiNN) and model.can_write_derivatives_out:
        start = model.encoder.embedding(graph), PaiNNPullback(model.encoder)
    reference = (of_atom * torch.nan_to_num(references)).sum(dim=0)
    return Composition(
        branches=branches,
        weights=of_atom,
        heads=model.branches.energy.of_some(branches),
        scales=model.branches.scales.values[branches, None],
        alone=_alone(model, graph, branches),
        reference=reference,
        total_reference=graph.sum_over_structures(reference),
        branch_reference=None
        if weights is None
        else graph.sum_over_structures(references.T.contiguous()),
        start=start,
    )


def _shares(model: Model, graph: AtomicGraph, weights: Tensor | None) -> tuple[slice, Tensor]:
    """Which branches are evaluated, and their weight for each structure, float64, (S, b)."""
    count = len(model.branch_specs)
    if weights is not None:
        return slice(0, count), weights.to(torch.float64)
    model.check_branches(graph)
    first = int(graph.branch_index[0])
    if bool((graph.branch_index == first).all()):
        ones = torch.ones_like(graph.branch_index, dtype=torch.float64)
        return slice(first, first + 1), ones[:, None]
    return slice(0, count), nn.functional.one_hot(graph.branch_index, count).to(torch.float64)


def _alone(model: Model, graph: AtomicGraph, branches: slice) -> Tensor:
    """What the heads say of each atom's element when alone and neutral, (b, N)."""
    present, of_atom = torch.unique(graph.atomic_numbers, return_inverse=True)
    scalars = model.encode(isolated_atoms(present, graph, model.dtype)).scalars
    return model.branches.energy(scalars, branches)[..., 0].index_select(1, of_atom)


def isolated_atoms(atomic_numbers: Tensor, like: AtomicGraph, dtype: torch.dtype) -> AtomicGraph:
    """Neutral singlet atoms without neighbors, one structure each.

    Args:
        atomic_numbers: of the atoms, (U,).
        like: graph whose types, device and cutoff are taken.
        dtype: of the edge vectors, of which there are none.
    """
    count = len(atomic_numbers)
    none = like.senders.new_zeros(0)
    vectors = like.positions.new_zeros(0, 3)
    graph = AtomicGraph(
        atomic_numbers=atomic_numbers,
        positions=like.positions.new_zeros(count, 3),
        cell=like.cell.new_zeros(count, 3, 3),
        pbc=like.pbc.new_zeros(count, 3),
        structure_index=torch.arange(count, device=none.device),
        senders=none,
        receivers=none,
        cell_shifts=vectors,
        cutoff=like.cutoff,
        total_charge=torch.zeros_like(atomic_numbers),
        spin_multiplicity=torch.ones_like(atomic_numbers),
        branch_index=torch.zeros_like(atomic_numbers),
    )
    return graph.with_edge_vectors(vectors.to(dtype))


@torch.no_grad()
def infer(
    model: Model,
    graph: AtomicGraph,
    composition: Composition,
    *,
    forces: Literal["conservative", "direct"] | None,
    stress: bool,
    reference: Literal["total", "interaction"],
) -> Prediction:
    """Energy and its derivatives.

    Args:
        model: as given to `compose`.
        graph: as given to `compose`, atoms and edges wherever they are now.
        composition: what `compose` gave.
        forces: "conservative" (derivative of the energy), "direct" (force heads) or None.
        stress: also take the strain derivative.
        reference: "total" adds the references back, "interaction" leaves them out.
    """
    vectors = graph.displacements() if graph.edge_vectors is None else graph.edge_vectors
    graph = graph.with_edge_vectors(vectors.to(model.dtype))
    assert graph.edge_vectors is not None
    assert graph.edge_lengths is not None
    differentiated = forces == "conservative" or stress
    features, encoder_back = _encoded(model, graph, composition, differentiated)
    outputs, heads_back = composition.heads(features.scalars)
    by_branch = (outputs[..., 0] - composition.alone).to(torch.float64) * composition.scales
    energies = (composition.weights * by_branch).sum(dim=0)  # (N,)
    slopes = None
    if model.repulsion is not None:  # the same in every branch
        repelled, slopes = model.repulsion.with_slopes(graph)
        by_branch, energies = by_branch + repelled, energies + repelled
    found = pressed = None
    if differentiated:
        of_outputs = (composition.weights * composition.scales).to(outputs.dtype)[..., None]
        gradient = encoder_back(heads_back(of_outputs))
        if slopes is not None:
            along = slopes.to(outputs.dtype) / graph.edge_lengths
            gradient = gradient + along[:, None] * graph.edge_vectors
        found = derivatives.forces(gradient, graph)
        pressed = derivatives.stress(gradient, graph.edge_vectors, graph) if stress else None
    if forces != "conservative":
        found = None if forces is None else _direct_forces(model, graph, features, composition)
    return predicted(
        graph, composition, energies, by_branch, reference, forces=found, stress=pressed
    )


def _encoded(
    model: Model, graph: AtomicGraph, composition: Composition, differentiated: bool
) -> tuple[Features, Pullback]:
    """Features of the atoms, and what carries their gradient to the edge vectors."""
    if composition.start is not None:
        start, encoder = composition.start
        if model.contact is None:
            return encoder(start, graph)
        seen, as_seen = model.contact.with_pullback(graph)
        features, to_seen = encoder(start, seen)
        return features, lambda of_scalars: as_seen(to_seen(of_scalars))
    if not differentiated:
        return model.encode(graph), _refuse
    assert graph.edge_vectors is not None
    leaf = graph.edge_vectors.detach().requires_grad_()
    with torch.enable_grad():
        features = model.encode(graph.with_edge_vectors(leaf))

    def pullback(of_scalars: Tensor) -> Tensor:
        return torch.autograd.grad(
            features.scalars, leaf, of_scalars, allow_unused=True, materialize_grads=True
        )[0]

    return Features(features.scalars.detach(), features.vectors.detach()), pullback


def _refuse(_: Tensor) -> Tensor:
    raise AssertionError("no derivative was asked for")


def _direct_forces(
    model: Model, graph: AtomicGraph, features: Features, composition: Composition
) -> Tensor:
    """Forces of the force heads, (N, 3), freed of their mean so that nothing drifts."""
    every = model.branches.direct_forces(features, composition.branches)  # (b, N, 3)
    mixed = torch.einsum("bn,bnx->nx", composition.weights.to(every.dtype), every)
    return derivatives.freed_of_mean(mixed, graph)


def predicted(
    graph: AtomicGraph,
    composition: Composition,
    energies: Tensor,
    by_branch: Tensor,
    reference: str,
    **derived: Tensor | None,
) -> Prediction:
    """What is said of the structures, of the energies of their atoms.

    Args:
        graph: the batch.
        composition: of it.
        energies: of atoms beyond the references, eV, float64, (N,).
        by_branch: the same in each branch, (b, N).
        reference: "total" adds the references back, "interaction" leaves them out.
        derived: forces and stress.
    """
    interaction = graph.sum_over_structures(energies)
    branch_energy = beyond = None
    if composition.branch_reference is not None:
        alone = composition.branch_reference
        # NaN where a branch does not know an element
        beyond = graph.sum_over_structures(by_branch.T.contiguous()) + alone * 0  # (S, b)
        branch_energy = beyond + alone if reference == "total" else beyond
    total, each = interaction, energies
    if reference == "total":
        total = interaction + composition.total_reference
        each = energies + composition.reference
    return Prediction(
        energy=total,
        energies=each,
        interaction_energy=interaction,
        branch_energy=branch_energy,
        branch_interaction_energy=beyond,
        **derived,
    )

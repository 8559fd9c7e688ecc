"""What every branch says of labelled structures: computed once, mixed many times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hydracalc.graphs.batches import budget_batches
from hydracalc.graphs.collate import collate
from hydracalc.models.hydra import HydraModel
from hydracalc.models.weighting import composition_features
from hydracalc.structure import AtomicStructure


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Predictions of B branches for S labelled structures, float64.

    Attributes:
        fractions: atomic fractions, (S, 119).
        state: charge and unpaired electrons per atom, (S, 2).
        known: branches that know all elements of the structure, bool, (S, B).
        structure_index: structure of each atom, (N,).
        forces: of every branch, eV/Angstrom, (N, B, 3); zero where unknown.
        energies: interaction energy per atom of every branch, eV, (S, B); zero where unknown.
        force_labels: eV/Angstrom, (N, 3); NaN where unlabelled.
        energy_labels: normalized energy per atom by the structure's own branch, eV, (S,); NaN where
            unlabelled.
    """

    fractions: Tensor
    state: Tensor
    known: Tensor
    structure_index: Tensor
    forces: Tensor
    energies: Tensor
    force_labels: Tensor
    energy_labels: Tensor

    def information(self, rest_force: float) -> Tensor:
        """How much each structure says of the branches, 0 to 1, (S,).

        F / (F + rest_force) with F the root mean square of the force labels: a structure at rest
        is right by every branch that has its bonds right, and tells nothing of how energy changes.

        Args:
            rest_force: F at which a structure counts one half, eV/Angstrom.
        """
        squares = torch.nan_to_num(self.force_labels).square().mean(dim=1)
        count = torch.bincount(self.structure_index, minlength=len(self.known))
        total = torch.zeros(len(self.known), dtype=torch.float64)
        force = (total.index_add(0, self.structure_index, squares) / count).sqrt()
        return force / (force + rest_force)

    def errors(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Mean |force component error|, eV/Angstrom, and |energy error| per atom, eV, each (S,).

        Args:
            weights: of the branches, (S, B).
        """
        of_atom = weights.index_select(0, self.structure_index)
        mixed = torch.einsum("nb,nbx->nx", of_atom, self.forces)
        missed = torch.nan_to_num(mixed - self.force_labels).abs().mean(dim=1)
        count = torch.bincount(self.structure_index, minlength=len(weights))
        force_error = torch.zeros_like(weights[:, 0]).index_add(0, self.structure_index, missed)
        energy_error = torch.nan_to_num((weights * self.energies).sum(1) - self.energy_labels).abs()
        return force_error / count, energy_error

    def rows(self, chosen: Tensor) -> "Evidence":
        """The evidence of some structures.

        Args:
            chosen: bool, (S,).
        """
        place = torch.cumsum(chosen, dim=0) - 1
        atoms = chosen[self.structure_index]
        return Evidence(
            fractions=self.fractions[chosen],
            state=self.state[chosen],
            known=self.known[chosen],
            structure_index=place[self.structure_index[atoms]],
            forces=self.forces[atoms],
            energies=self.energies[chosen],
            force_labels=self.force_labels[atoms],
            energy_labels=self.energy_labels[chosen],
        )


def gather_evidence(
    model: HydraModel, structures: Sequence[AtomicStructure], *, max_atoms: int = 512
) -> Evidence:
    """Evaluate every branch on every structure it knows the elements of.

    Raises:
        ValueError: there is no structure, or one is of a branch that the model does not have.
    """
    if not structures:
        raise ValueError("weighting needs labelled structures, got 0")
    index = {name: b for b, name in enumerate(model.branch_names)}
    sizes = np.array([s.num_atoms for s in structures])
    order = np.arange(len(structures))
    batches = budget_batches(sizes, sizes * 0, max_atoms=max_atoms, max_edges=1, order=order)
    parts = [_batch_evidence(model, [structures[i] for i in batch], index) for batch in batches]
    offsets = np.cumsum([0] + [len(part.known) for part in parts[:-1]])
    moved = [p.structure_index + int(o) for p, o in zip(parts, offsets, strict=True)]
    names = [n for n in Evidence.__dataclass_fields__ if n != "structure_index"]
    joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    return Evidence(structure_index=torch.cat(moved), **joined)


def _batch_evidence(
    model: HydraModel, structures: Sequence[AtomicStructure], index: dict[str, int]
) -> Evidence:
    graph = collate(structures, model.config.cutoff, branches=index)
    fractions, state = composition_features(graph)
    knows = ~((fractions > 0)[:, None, :] & ~model.supported).any(dim=-1)  # (S, B)
    num_branches = len(index)
    forces = torch.zeros((graph.num_atoms, num_branches, 3), dtype=torch.float64)
    energies = torch.zeros((graph.num_structures, num_branches), dtype=torch.float64)
    for branch in range(num_branches):
        weights = torch.zeros((graph.num_structures, num_branches), dtype=torch.float64)
        weights[knows[:, branch], branch] = 1
        prediction = model(graph, weights=weights, reference="interaction")
        forces[:, branch] = prediction.forces.detach()
        energies[:, branch] = prediction.interaction_energy.detach() / graph.atoms_per_structure
    labels = [model.branch_specs[index[s.branch]].references for s in structures]
    normalized = [
        np.nan if s.energy is None else references.normalize(s.energy, s.atomic_numbers)
        for s, references in zip(structures, labels, strict=True)
    ]
    assert graph.forces is not None
    return Evidence(
        fractions=fractions,
        state=state,
        known=knows,
        structure_index=graph.structure_index,
        forces=forces,
        energies=energies,
        force_labels=graph.forces,
        energy_labels=torch.tensor(normalized, dtype=torch.float64),
    )

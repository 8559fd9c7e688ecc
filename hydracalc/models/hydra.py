"""The model: one shared encoder, a branch for every dataset, any mixture in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from hydracalc import elements
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models import derivatives
from hydracalc.models.branches import Branches, BranchSpec
from hydracalc.models.encoder import EncoderConfig, Features
from hydracalc.models.encoders import build_encoder
from hydracalc.models.repulsion import Repulsion
from hydracalc.models.weighting import BranchWeighting, composition_features


@dataclass(frozen=True, kw_only=True)
class HydraConfig(EncoderConfig):
    """Shape of a model.

    Attributes:
        encoder: "painn" or "egnn".
        head_widths: hidden layers of each branch's heads.
        direct_forces: also build heads that give forces without a derivative.
        repulsion: add the nuclei's screened repulsion at short range.
    """

    encoder: str = "painn"
    head_widths: tuple[int, ...] = (64,)
    direct_forces: bool = False
    repulsion: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What a model says of a batch.

    Attributes:
        energy: total energy, or interaction energy where asked for, eV, float64, (S,).
        energies: the same of each atom, eV, float64, (N,).
        interaction_energy: energy beyond the references, eV, float64, (S,).
        forces: eV/Angstrom, (N, 3); None where not asked for.
        direct_forces: of the direct force heads, eV/Angstrom, (N, 3); only in training, where the
            model has such heads, beside the derivatives in `forces`.
        stress: tension positive, eV/Angstrom^3, (S, 3, 3), NaN without a volume; None if not asked.
        branch_energy: `energy` of every branch alone, eV, float64, (S, B), NaN where it does not
            know an element; None unless weights were given.
    """

    energy: Tensor
    energies: Tensor
    interaction_energy: Tensor
    forces: Tensor | None = None
    direct_forces: Tensor | None = None
    stress: Tensor | None = None
    branch_energy: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _AtomEnergies:
    """Energies of atoms, eV, float64, (N,): beyond the references, and the references."""

    interaction: Tensor
    reference: Tensor


class HydraModel(nn.Module):
    """Encoder, branches, and the weighting between them.

    Args:
        config: shape.
        branches: what each branch is; B of them.
        weighting: network that weighs branches by composition, if one is trained.

    Raises:
        ValueError: no branch, or two of one name.
    """

    def __init__(
        self,
        config: HydraConfig,
        branches: Sequence[BranchSpec],
        *,
        weighting: BranchWeighting | None = None,
    ) -> None:
        super().__init__()
        names = [spec.name for spec in branches]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"branches are {names}, expected at least one and each name once")
        self.config = config
        self.branch_specs = tuple(branches)
        self.encoder = build_encoder(config.encoder, config)
        self.branches = Branches(
            branches,
            num_channels=self.encoder.num_channels,  # type: ignore[arg-type]
            num_vectors=self.encoder.num_vectors,  # type: ignore[arg-type]
            head_widths=config.head_widths,
            direct_forces=config.direct_forces,
        )
        self.repulsion = Repulsion() if config.repulsion else None
        self.weighting = weighting

    @property
    def branch_names(self) -> tuple[str, ...]:
        """Names of the branches in order of their index."""
        return tuple(spec.name for spec in self.branch_specs)

    @property
    def supported(self) -> Tensor:
        """Elements each branch knows, bool, (B, 119)."""
        return torch.isfinite(self.branches.references.values)

    @property
    def dtype(self) -> torch.dtype:
        """Type the encoder computes in."""
        return next(self.encoder.parameters()).dtype

    def branch_weights(self, graph: AtomicGraph) -> Tensor:
        """Weights that composition gives the branches, (S, B).

        Raises:
            ValueError: the model has no weighting, or no branch knows all elements of a structure.
        """
        if self.weighting is None:
            raise ValueError(
                f"this model has no trained weighting; name a branch: {list(self.branch_names)}"
            )
        fractions, state = composition_features(graph)
        weights = self.weighting(fractions, state, self.supported)
        alone = (weights.sum(dim=1) == 0).nonzero()[:, 0]
        if alone.numel():
            present = elements.symbols(fractions[alone[0]].nonzero()[:, 0].tolist())
            raise ValueError(f"no branch knows all of the elements {present}")
        return weights

    def forward(
        self,
        graph: AtomicGraph,
        *,
        weights: Tensor | None = None,
        forces: Literal["conservative", "direct"] | None = "conservative",
        stress: bool = False,
        reference: Literal["total", "interaction"] = "total",
    ) -> Prediction:
        """Energy and its derivatives, every structure by its own branch or by a mixture.

        Args:
            graph: the batch, S structures.
            weights: weight of each branch for each structure, (S, B); None evaluates every
                structure by `graph.branch_index`.
            forces: "conservative" (derivative of the energy), "direct" (force heads) or None.
            stress: also take the strain derivative.
            reference: "total" adds the references back, "interaction" leaves them out.

        Raises:
            ValueError: a structure has an element its branch does not know, or no branch.
        """
        differentiated = forces == "conservative" or stress
        keep_graph = self.training and torch.is_grad_enabled()
        with torch.set_grad_enabled(differentiated or torch.is_grad_enabled()):
            vectors = graph.displacements().to(self.dtype)
            if differentiated:
                vectors = vectors.detach().requires_grad_()
            graph = graph.with_edge_vectors(vectors)
            features, isolated, element_index = self.encode(graph)
            if weights is None:
                atoms = self._by_branch(graph, features, isolated, element_index)
                branch_energy = None
            else:
                atoms, branch_energy = self._mixture(
                    graph, features, isolated, element_index, weights, reference
                )
            interaction = graph.sum_over_structures(atoms.interaction)
            gradient = (
                derivatives.edge_gradient(interaction, vectors, keep_graph=keep_graph)
                if differentiated
                else None
            )
        if not keep_graph:  # nothing is left to differentiate: let go of what autograd kept
            atoms = _AtomEnergies(atoms.interaction.detach(), atoms.reference)
            interaction, vectors = interaction.detach(), vectors.detach()
            features = Features(features.scalars.detach(), features.vectors.detach())
        direct = None
        if forces == "direct" or (keep_graph and self.branches.force_gates is not None):
            direct = self._direct_forces(graph, features, weights)
        found = None if gradient is None else derivatives.forces(gradient, graph)
        return replace(
            self._prediction(graph, atoms, interaction, reference),
            forces={"conservative": found, "direct": direct}.get(forces or ""),
            direct_forces=direct if keep_graph else None,
            stress=derivatives.stress(gradient, vectors, graph)
            if stress and gradient is not None
            else None,
            branch_energy=branch_energy,
        )

    def encode(self, graph: AtomicGraph) -> tuple[Features, Tensor, Tensor]:
        """Features of the atoms and of one isolated, neutral atom of each element present.

        The isolated atoms ride along as one more structure without edges, so that what a head says
        of them can be subtracted: an atom far from all others has exactly its reference energy.

        Returns:
            features of the N atoms; scalars of the isolated atoms, (U, C); which of those each atom
            is, (N,).
        """
        present, element_index = torch.unique(graph.atomic_numbers, return_inverse=True)
        count, last = present.shape[0], graph.num_structures
        extended = replace(
            graph,
            atomic_numbers=torch.cat([graph.atomic_numbers, present]),
            structure_index=torch.cat([graph.structure_index, present.new_full((count,), last)]),
            total_charge=torch.cat([graph.total_charge, present.new_zeros(1)]),
            spin_multiplicity=torch.cat([graph.spin_multiplicity, present.new_ones(1)]),
        )
        features = self.encoder(extended)
        num_atoms = graph.num_atoms
        atoms = Features(scalars=features.scalars[:num_atoms], vectors=features.vectors[:num_atoms])
        return atoms, features.scalars[num_atoms:], element_index

    def _by_branch(
        self, graph: AtomicGraph, features: Features, isolated: Tensor, element_index: Tensor
    ) -> _AtomEnergies:
        """Energies of atoms, each by the branch of its structure."""
        branch_of_atom = graph.branch_index.index_select(0, graph.structure_index)  # (N,)
        parts, places = [], []
        for branch in torch.unique(graph.branch_index).tolist():
            if not 0 <= branch < len(self.branch_specs):
                raise ValueError(
                    f"branch_index {branch} is outside 0..{len(self.branch_specs) - 1}: "
                    "collate with the model's branches, or pass weights"
                )
            atoms = (branch_of_atom == branch).nonzero()[:, 0]
            own = replace(features, scalars=features.scalars.index_select(0, atoms))
            one = slice(branch, branch + 1)
            parts.append(
                self.branches.interaction_energies(own, isolated, element_index[atoms], one)[0]
            )
            places.append(atoms)
        order = torch.cat(places) if places else element_index
        energies = torch.cat(parts) if parts else features.scalars.new_zeros(0)
        energies = torch.zeros_like(energies).index_add(0, order, energies)
        energies = energies.to(torch.float64) + self._repulsion(graph)
        reference = self.branches.references.values[branch_of_atom, graph.atomic_numbers]
        self._check_supported(graph, reference, branch_of_atom)
        return _AtomEnergies(energies, reference)

    def _mixture(
        self,
        graph: AtomicGraph,
        features: Features,
        isolated: Tensor,
        element_index: Tensor,
        weights: Tensor,
        reference: str,
    ) -> tuple[_AtomEnergies, Tensor]:
        """Energies of atoms as the weighted sum over branches, and every branch's own energy."""
        weights = weights.to(torch.float64).index_select(0, graph.structure_index).T  # (B, N)
        everything = slice(None)
        energies = self.branches.interaction_energies(features, isolated, element_index, everything)
        energies = energies.to(torch.float64) + self._repulsion(graph)  # (B, N)
        references = self.branches.reference_energies(graph.atomic_numbers)  # (B, N)
        unknown = torch.isnan(references) & (weights > 0)
        if bool(unknown.any()):
            branch, atom = unknown.nonzero()[0].tolist()
            self._raise_unsupported(branch, int(graph.atomic_numbers[atom]))
        known = torch.nan_to_num(references)
        alone = energies.detach() + (references if reference == "total" else references * 0)
        branch_energy = graph.sum_over_structures(alone.T.contiguous())  # (S, B)
        mixed = _AtomEnergies((weights * energies).sum(dim=0), (weights * known).sum(dim=0))
        return mixed, branch_energy

    def _repulsion(self, graph: AtomicGraph) -> Tensor | float:
        return self.repulsion(graph).to(torch.float64) if self.repulsion is not None else 0.0

    def _direct_forces(
        self, graph: AtomicGraph, features: Features, weights: Tensor | None
    ) -> Tensor:
        """Forces of the force heads, (N, 3), freed of their mean so that nothing drifts."""
        if weights is None:
            weights = nn.functional.one_hot(graph.branch_index, len(self.branch_specs))
        of_atom = weights.to(self.dtype).index_select(0, graph.structure_index).T  # (B, N)
        every = self.branches.direct_forces(features, slice(None))  # (B, N, 3)
        mixed = torch.einsum("bn,bnx->nx", of_atom, every)
        count = graph.atoms_per_structure.to(mixed.dtype)[:, None]
        return mixed - (graph.sum_over_structures(mixed) / count)[graph.structure_index]

    def _prediction(
        self, graph: AtomicGraph, atoms: _AtomEnergies, interaction: Tensor, reference: str
    ) -> Prediction:
        if reference == "interaction":
            return Prediction(
                energy=interaction, energies=atoms.interaction, interaction_energy=interaction
            )
        return Prediction(
            energy=interaction + graph.sum_over_structures(atoms.reference),
            energies=atoms.interaction + atoms.reference,
            interaction_energy=interaction,
        )

    def _check_supported(self, graph: AtomicGraph, reference: Tensor, branch: Tensor) -> None:
        bad = torch.isnan(reference).nonzero()[:, 0]
        if bad.numel():
            self._raise_unsupported(int(branch[bad[0]]), int(graph.atomic_numbers[bad[0]]))

    def _raise_unsupported(self, branch: int, atomic_number: int) -> None:
        knows = self.supported
        known = elements.symbols(knows[branch].nonzero()[:, 0].tolist())
        others = [n for b, n in enumerate(self.branch_names) if bool(knows[b, atomic_number])]
        raise ValueError(
            f"branch {self.branch_names[branch]!r} does not know element "
            f"{elements.symbol(atomic_number)} (knows: {known}; branches that do: {others})"
        )

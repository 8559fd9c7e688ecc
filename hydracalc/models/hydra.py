"""The model: one shared encoder, a branch for every dataset, any mixture in one pass."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from hydracalc import elements
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models import derivatives, inference, precision
from hydracalc.models.branches import Branches, BranchSpec
from hydracalc.models.contact import Contact
from hydracalc.models.encoder import Features
from hydracalc.models.encoders import EncoderChoice, build_encoder
from hydracalc.models.prediction import Prediction
from hydracalc.models.repulsion import Repulsion
from hydracalc.models.weighting import BranchWeighting, composition_features

# tables that follow from what the branches are
TABLES = ("branches.references.values", "branches.scales.values")


@dataclass(frozen=True, kw_only=True)
class HydraConfig(EncoderChoice):
    """Shape of a model.

    Attributes:
        head_widths: hidden layers of each branch's heads.
        direct_forces: also build heads that give forces without a derivative.
        repulsion: add the nuclei's screened repulsion at short range.
        contact: distance, in sums of covalent radii, below which the encoder sees atoms as farther
            apart than they are; 0 lets it see all distances as they are.
    """

    head_widths: tuple[int, ...] = (64,)
    direct_forces: bool = False
    repulsion: bool = True
    contact: float = 0.65

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.contact < 1:
            raise ValueError(f"contact is {self.contact}, expected at least 0 and below 1")


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

    Attributes:
        default_branch: that answers where none is named; None leaves it to the weighting, or to the
            only branch.

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
        self.encoder = build_encoder(config)
        self.branches = Branches(
            branches,
            num_channels=self.encoder.num_channels,  # type: ignore[arg-type]
            num_vectors=self.encoder.num_vectors,  # type: ignore[arg-type]
            head_widths=config.head_widths,
            direct_forces=config.direct_forces,
        )
        self.repulsion = Repulsion() if config.repulsion else None
        self.contact = Contact(config.contact) if config.contact else None
        self.weighting = weighting
        self.default_branch: str | None = None
        self._precision = "float32"

    def with_branches(
        self, indices: Sequence[int], specs: Sequence[BranchSpec] | None = None
    ) -> "HydraModel":
        """A model of some of the branches, its weights copies of this one's.

        Args:
            indices: of the branches, in the order the new model has them; one may come twice.
            specs: what the new model's branches are; None leaves it as it is.
        """
        named = specs or [self.branch_specs[index] for index in indices]
        part = HydraModel(self.config, named)
        chosen = {
            name: tensor[list(indices)] if name.startswith("branches.") else tensor
            for name, tensor in self.state_dict().items()
            if not name.startswith("weighting.") and name not in TABLES
        }
        tables = {name: tensor for name, tensor in part.state_dict().items() if name in TABLES}
        part.load_state_dict(chosen | tables)
        part.precision = self.precision
        return part

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
        return self.encoder.embedding.element.weight.dtype  # type: ignore[union-attr,return-value]

    @property
    def precision(self) -> str:
        """Name in `PRECISIONS`; to set it casts the weights to the type of the features.

        Raises:
            ValueError: there is no precision of that name or with weights of this type.
        """
        chosen = precision.find(self._precision)
        # the model may have been cast like any other module: then its weights say what it is
        same = chosen.features == self.dtype
        return self._precision if same else precision.of_weights(self.dtype)

    @precision.setter
    def precision(self, name: str) -> None:
        self.to(precision.find(name).features)
        self._precision = name

    @property
    def can_write_derivatives_out(self) -> bool:
        """Whether compiled loops may stand in for autograd: on the processor, in full precision."""
        return self.branches.references.values.device.type == "cpu" and self.precision != "bfloat16"

    def matrix_products(self) -> AbstractContextManager[object]:
        """Where the encoder computes: matrix products in the type of the precision."""
        device = self.branches.references.values.device
        return precision.matrix_products(precision.find(self.precision), device)

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
        if not (self.training and torch.is_grad_enabled()):
            composition = inference.compose(self, graph, weights)
            asked = {"forces": forces, "stress": stress, "reference": reference}
            return inference.infer(self, graph, composition, **asked)  # type: ignore[arg-type]
        if weights is not None:
            raise ValueError("weights are for predictions; call eval() or use torch.no_grad()")
        return self._differentiable(graph, stress=stress, reference=reference)

    def _differentiable(self, graph: AtomicGraph, *, stress: bool, reference: str) -> Prediction:
        """What `forward` says, in a form that a loss can be differentiated through."""
        vectors = graph.displacements().to(self.dtype).detach().requires_grad_()
        graph = graph.with_edge_vectors(vectors)
        features, isolated, element_index = self._encode_with_isolated(graph)
        atoms = self._by_branch(graph, features, isolated, element_index)
        interaction = graph.sum_over_structures(atoms.interaction)
        gradient = derivatives.edge_gradient(interaction, vectors, keep_graph=True)
        added = atoms.reference if reference == "total" else torch.zeros_like(atoms.reference)
        return Prediction(
            energy=interaction + graph.sum_over_structures(added),
            energies=atoms.interaction + added,
            interaction_energy=interaction,
            forces=derivatives.forces(gradient, graph),
            direct_forces=self._direct_forces(graph, features),
            stress=derivatives.stress(gradient, vectors, graph) if stress else None,
        )

    def encode(self, graph: AtomicGraph) -> Features:
        """Features of every atom of a graph whose edge vectors are set."""
        seen = graph if self.contact is None else self.contact.seen(graph)
        with self.matrix_products():
            features = self.encoder(seen)
        return Features(features.scalars.to(self.dtype), features.vectors.to(self.dtype))

    def _encode_with_isolated(self, graph: AtomicGraph) -> tuple[Features, Tensor, Tensor]:
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
        features = self.encode(extended)
        num_atoms = graph.num_atoms
        scalars, vectors = features.scalars[:num_atoms], features.vectors[:num_atoms]
        return Features(scalars, vectors), features.scalars[num_atoms:], element_index

    def _by_branch(
        self, graph: AtomicGraph, features: Features, isolated: Tensor, element_index: Tensor
    ) -> _AtomEnergies:
        """Energies of atoms, each by the branch of its structure."""
        branch_of_atom = graph.branch_index.index_select(0, graph.structure_index)  # (N,)
        self.check_branches(graph)
        energies = self.branches.own_interaction_energies(
            features, isolated, element_index, branch_of_atom
        )
        energies = energies.to(torch.float64) + self._repulsion(graph)
        reference = self.branches.references.values[branch_of_atom, graph.atomic_numbers]
        self._check_supported(graph, reference, branch_of_atom)
        return _AtomEnergies(energies, reference)

    def _repulsion(self, graph: AtomicGraph) -> Tensor | float:
        return self.repulsion(graph).to(torch.float64) if self.repulsion is not None else 0.0

    def _direct_forces(self, graph: AtomicGraph, features: Features) -> Tensor | None:
        """Forces of the force heads, (N, 3), where the model has them."""
        if self.branches.force_gates is None:
            return None
        every = self.branches.direct_forces(features, slice(None))  # (B, N, 3)
        weights = nn.functional.one_hot(graph.branch_index, len(self.branch_specs)).to(self.dtype)
        of_atom = weights.index_select(0, graph.structure_index)  # (N, B)
        return derivatives.freed_of_mean(torch.einsum("nb,bnx->nx", of_atom, every), graph)

    def _check_supported(self, graph: AtomicGraph, reference: Tensor, branch: Tensor) -> None:
        bad = torch.isnan(reference).nonzero()[:, 0]
        if bad.numel():
            self.refuse_element(int(branch[bad[0]]), int(graph.atomic_numbers[bad[0]]))

    def check_branches(self, graph: AtomicGraph) -> None:
        """Refuse structures without a branch of this model.

        Raises:
            ValueError: naming the index.
        """
        last = len(self.branch_specs) - 1
        lowest, highest = (int(each) for each in graph.branch_index.aminmax())
        if lowest < 0 or highest > last:
            raise ValueError(
                f"branch_index {lowest if lowest < 0 else highest} is outside 0..{last}: "
                "collate with the model's branches, or pass weights"
            )

    def refuse_element(self, branch: int, atomic_number: int) -> None:
        """Say that a branch does not know an element.

        Raises:
            ValueError: always.
        """
        knows = self.supported
        known = elements.symbols(knows[branch].nonzero()[:, 0].tolist())
        others = [n for b, n in enumerate(self.branch_names) if bool(knows[b, atomic_number])]
        raise ValueError(
            f"branch {self.branch_names[branch]!r} does not know element "
            f"{elements.symbol(atomic_number)} (knows: {known}; branches that do: {others})"
        )

"""Which branches a composition should be described by: weights that depend on composition alone.

Atomic fractions rather than counts, so a supercell has the weights of its cell; no positions, so
the weights are constant in dynamics and forces of the mixture are exact derivatives of its energy.

What weighs most is which branch was trained on compositions like this one (`Experience`); a small
network corrects that where labels say so.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from hydracalc.elements import NUM_ELEMENTS
from hydracalc.graphs.graph import AtomicGraph


@dataclass(frozen=True, kw_only=True)
class WeightingConfig:
    """Size of the weighting network.

    Attributes:
        num_channels: features of an element, and width of the hidden layer.
    """

    num_channels: int = 32


def composition_features(graph: AtomicGraph) -> tuple[Tensor, Tensor]:
    """Atomic fractions, (S, 119), and charge and unpaired electrons per atom, (S, 2), float64."""
    num_atoms = graph.atoms_per_structure.to(torch.float64)
    flat = graph.structure_index * NUM_ELEMENTS + graph.atomic_numbers
    counts = torch.bincount(flat, minlength=graph.num_structures * NUM_ELEMENTS)
    fractions = counts.view(-1, NUM_ELEMENTS) / num_atoms[:, None]
    state = torch.stack([graph.total_charge, graph.spin_multiplicity - 1], dim=1)
    return fractions, state / num_atoms[:, None]


_EXPERIENCE = "experience"  # in headers: compositions, and elements of the richest

# reach in atomic fractions, and factor
_KERNELS = ((0.1, 1.0), (0.3, 0.05), (0.01, 1.0))
_NOTHING_SEEN = 1e-3  # a branch that saw nothing alike keeps this little
_AT_ONCE = 64  # compositions held against the table


class Experience(nn.Module):
    """The compositions that branches were trained on, and how much each says of another one.

    A composition at distance d, the sum over elements of the difference of atomic fractions, says

        amount * (exp(-d / 0.1) + 0.05 exp(-d / 0.3)) + amount * structures * exp(-d / 0.01)

    for its branch: like compositions count by how many there are, a very composition by how many
    structures of it were seen, so that thousands of frames of one molecule say nothing of others.
    All numbers are stored with the weights.

    Args:
        num_compositions: M.
        num_elements: of the composition that has most, K.
        num_branches: B.
    """

    elements: Tensor
    fractions: Tensor
    amounts: Tensor
    structures: Tensor
    kernels: Tensor

    def __init__(self, num_compositions: int, num_elements: int, num_branches: int) -> None:
        super().__init__()
        self.register_buffer(
            "elements", torch.zeros(num_compositions, num_elements, dtype=torch.uint8)
        )
        self.register_buffer("fractions", torch.zeros(num_compositions, num_elements))
        self.register_buffer("amounts", torch.zeros(num_compositions, num_branches))
        self.register_buffer("structures", torch.zeros(num_compositions, num_branches))
        self._table: tuple[tuple[int, int], Tensor] | None = None  # made when it is needed
        # reach and factor: of like compositions, of distant ones, of the very composition
        self.register_buffer("kernels", torch.tensor(_KERNELS))

    @classmethod
    def of(cls, fractions: Tensor, amounts: Tensor, structures: Tensor) -> Self:
        """A table of compositions.

        Args:
            fractions: atomic fractions, (M, 119).
            amounts: how much the labels of each say, for every branch, (M, B).
            structures: how many there were, (M, B).
        """
        num_elements = int((fractions > 0).sum(dim=1).max()) if len(fractions) else 0
        made = cls(len(fractions), num_elements, amounts.shape[1])
        largest = fractions.topk(num_elements, dim=1) if num_elements else None
        if largest is not None:
            made.elements.copy_(largest.indices * (largest.values > 0))
            made.fractions.copy_(largest.values)
        made.amounts.copy_(amounts)
        made.structures.copy_(structures)
        return made

    def forward(self, fractions: Tensor) -> Tensor:
        """Logarithm of what was seen near a composition, for each branch, float64, (S, B).

        Args:
            fractions: atomic fractions, (S, 119).
        """
        different, place = torch.unique(fractions.to(torch.float64), dim=0, return_inverse=True)
        seen = torch.cat([self._near(part) for part in different.split(_AT_ONCE)])
        return torch.log(seen + _NOTHING_SEEN)[place]

    def _near(self, fractions: Tensor) -> Tensor:
        """What was seen near some compositions, (s, 119) to (s, B)."""
        # sum over all elements of |difference|: fractions of the table add up to one, and where
        # the composition has none of an element, the difference is the table's
        num_present = int((fractions > 0).sum(dim=1).max())
        present = fractions.topk(num_present, dim=1)  # (s, P)
        stored = self._by_element()[present.indices]  # (s, P, M)
        distance = 1 + ((present.values[:, :, None] - stored).abs() - stored).sum(dim=1)
        amounts = self.amounts.to(torch.float64)
        like, far, same = (
            factor * torch.exp(-distance / reach)  # (s, M)
            for reach, factor in self.kernels.to(torch.float64).unbind()
        )
        return (like + far) @ amounts + same @ (amounts * self.structures.to(torch.float64))

    def _by_element(self) -> Tensor:
        """Fractions of every element in every composition, float64, (119, M)."""
        made_from = (self.fractions.data_ptr(), self.fractions._version)
        if self._table is None or self._table[0] != made_from:
            num_compositions = len(self.fractions)
            dense = self.fractions.new_zeros((num_compositions, NUM_ELEMENTS), dtype=torch.float64)
            dense.scatter_add_(1, self.elements.long(), self.fractions.to(torch.float64))
            # in float32 they add up to one only to seven digits
            dense /= dense.sum(dim=1, keepdim=True).clamp(min=1e-12)
            self._table = made_from, dense.t().contiguous()
        return self._table[1]


class BranchWeighting(nn.Module):
    """Softmax over branches of what they have seen, and a small network of composition and state.

    Element vectors start at zero, so an element without labels says nothing of the weights; `seen`
    records which elements had any.

    Args:
        num_branches: B.
        config: size.
        experience: what the branches were trained on; None leaves all to the network.
    """

    seen: Tensor

    def __init__(
        self,
        num_branches: int,
        config: WeightingConfig | None = None,
        *,
        experience: Experience | None = None,
    ) -> None:
        super().__init__()
        self.config = config or WeightingConfig()
        channels = self.config.num_channels
        self.elements = nn.Linear(NUM_ELEMENTS, channels, bias=False)
        self.state = nn.Linear(2, channels, bias=False)
        self.net = nn.Sequential(
            nn.SiLU(), nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, num_branches)
        )
        nn.init.zeros_(self.elements.weight)
        nn.init.zeros_(self.state.weight)
        self.experience = experience
        if experience is not None:  # before any label speaks, it decides alone
            nn.init.zeros_(self.net[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.net[-1].bias)  # type: ignore[arg-type]
        self.register_buffer("seen", torch.zeros(NUM_ELEMENTS, dtype=torch.bool))

    @classmethod
    def from_header(cls, num_branches: int, header: Mapping[str, Any]) -> Self:
        """A weighting of the shape that `to_header` stated, its numbers not yet loaded."""
        config = {key: value for key, value in header.items() if key != _EXPERIENCE}
        shape = header.get(_EXPERIENCE)
        experience = None if shape is None else Experience(shape[0], shape[1], num_branches)
        return cls(num_branches, WeightingConfig(**config), experience=experience)

    def to_header(self) -> dict[str, Any]:
        """The shape, for the header of a file."""
        shape = {}
        if self.experience is not None:
            shape[_EXPERIENCE] = list(self.experience.elements.shape)
        return asdict(self.config) | shape

    def forward(
        self,
        fractions: Tensor,
        state: Tensor,
        supported: Tensor,
        *,
        experience: Tensor | None = None,
    ) -> Tensor:
        """Weights of the branches, (S, B); each row sums to one.

        Args:
            fractions: atomic fractions, (S, 119).
            state: charge and unpaired electrons per atom, (S, 2).
            supported: elements each branch knows, bool, (B, 119).
            experience: what `self.experience` says of these fractions, where it is known already.

        Returns:
            weights, float64; exactly 0 for a branch that does not know an element of the
            structure, and a row of zeros where no branch knows them all.
        """
        dtype = self.elements.weight.dtype
        logits = self.net(self.elements(fractions.to(dtype)) + self.state(state.to(dtype)))
        knows = ~((fractions > 0)[:, None, :] & ~supported).any(dim=-1)  # (S, B)
        # in float32 a row would sum to one only to seven digits, which total energies would show
        logits = logits.to(torch.float64)
        if self.experience is not None:
            logits = logits + (self.experience(fractions) if experience is None else experience)
        weights = torch.softmax(logits.masked_fill(~knows, -torch.inf), dim=-1)
        return weights.masked_fill(~knows, 0.0)

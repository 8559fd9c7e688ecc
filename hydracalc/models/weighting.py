"""Which branches a composition should be described by: weights that depend on composition alone.

Atomic fractions rather than counts, so a supercell has the weights of its cell; no positions, so
the weights are constant in dynamics and forces of the mixture are exact derivatives of its energy.
"""

from dataclasses import dataclass

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


class BranchWeighting(nn.Module):
    """Softmax over branches of a small network of composition, charge and spin.

    Element vectors start at zero, so an element without labels says nothing of the weights; `seen`
    records which elements had any.

    Args:
        num_branches: B.
        config: size.
    """

    seen: Tensor

    def __init__(self, num_branches: int, config: WeightingConfig | None = None) -> None:
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
        self.register_buffer("seen", torch.zeros(NUM_ELEMENTS, dtype=torch.bool))

    def forward(self, fractions: Tensor, state: Tensor, supported: Tensor) -> Tensor:
        """Weights of the branches, (S, B); each row sums to one.

        Args:
            fractions: atomic fractions, (S, 119).
            state: charge and unpaired electrons per atom, (S, 2).
            supported: elements each branch knows, bool, (B, 119).

        Returns:
            weights, float64; exactly 0 for a branch that does not know an element of the
            structure, and a row of zeros where no branch knows them all.
        """
        dtype = self.elements.weight.dtype
        logits = self.net(self.elements(fractions.to(dtype)) + self.state(state.to(dtype)))
        knows = ~((fractions > 0)[:, None, :] & ~supported).any(dim=-1)  # (S, B)
        # in float32 a row would sum to one only to seven digits, which total energies would show
        logits = logits.to(torch.float64)
        weights = torch.softmax(logits.masked_fill(~knows, -torch.inf), dim=-1)
        return weights.masked_fill(~knows, 0.0)

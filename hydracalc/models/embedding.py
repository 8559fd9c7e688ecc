"""What an atom is before it sees its neighbors: element, and the structure's charge and spin."""

import torch
from torch import Tensor, nn

from hydracalc.elements import NUM_ELEMENTS
from hydracalc.graphs.graph import AtomicGraph

MAX_CHARGE = 20  # |total charge|, e
MAX_SPIN_MULTIPLICITY = 20


class AtomEmbedding(nn.Module):
    """Learned vector per element, plus what total charge and spin multiplicity add to every atom.

    A neutral singlet adds exactly nothing, so data without charges neither needs nor moves the
    charge table. All tables exist from the start and are ordinary parameters of the optimizer.

    Args:
        num_channels: C.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.element = nn.Embedding(NUM_ELEMENTS, num_channels)
        self.charge = nn.Embedding(2 * MAX_CHARGE + 1, num_channels)
        self.spin = nn.Embedding(MAX_SPIN_MULTIPLICITY + 1, num_channels)
        nn.init.zeros_(self.charge.weight)
        nn.init.zeros_(self.spin.weight)

    def forward(self, graph: AtomicGraph) -> Tensor:
        """Features of every atom, (N, C).

        Raises:
            ValueError: a charge or a spin multiplicity is outside the tables.
        """
        _check_range("total_charge", graph.total_charge, -MAX_CHARGE, MAX_CHARGE)
        _check_range("spin_multiplicity", graph.spin_multiplicity, 1, MAX_SPIN_MULTIPLICITY)
        charge = self.charge(graph.total_charge + MAX_CHARGE) - self.charge.weight[MAX_CHARGE]
        spin = self.spin(graph.spin_multiplicity) - self.spin.weight[1]
        condition = charge + spin  # (S, C)
        features = self.element(graph.atomic_numbers)  # (N, C)
        return features + condition.index_select(0, graph.structure_index)


def _check_range(name: str, values: Tensor, lowest: int, highest: int) -> None:
    if values.numel() and bool(torch.any((values < lowest) | (values > highest))):
        bad = sorted({int(v) for v in values if not lowest <= v <= highest})
        raise ValueError(f"{name} {bad} is outside {lowest}..{highest}")

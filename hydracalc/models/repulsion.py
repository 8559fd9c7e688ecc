"""Nuclei repel: the screened Coulomb energy of Ziegler, Biersack and Littmark at short range.

Not trained. It vanishes smoothly at the sum of two covalent radii, so bonded structures hardly
feel it, and it keeps atoms apart where no dataset has structures.
"""

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from hydracalc import units
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.radial import envelope

# universal screening function of ZBL, The Stopping and Range of Ions in Matter (1985), eq. 2-61;
# coefficients as in LAMMPS' pair_style zbl documentation
_WEIGHTS = (0.18175, 0.50986, 0.28022, 0.02817)
_DECAYS = (3.19980, 0.94229, 0.40290, 0.20162)
_LENGTH_PREFACTOR = 0.46850  # Angstrom
_CHARGE_EXPONENT = 0.23
_COULOMB = units.HARTREE * units.BOHR  # e^2 / (4 pi epsilon_0), eV Angstrom


class Repulsion(nn.Module):
    """ZBL energy of every atom: half of each of its pairs."""

    weights: Tensor
    decays: Tensor
    radii: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(_WEIGHTS), persistent=False)
        self.register_buffer("decays", torch.tensor(_DECAYS), persistent=False)
        self.register_buffer("radii", torch.tensor(covalent_radii).float(), persistent=False)

    def forward(self, graph: AtomicGraph) -> Tensor:
        """Repulsive energy, eV, (N,)."""
        assert graph.edge_lengths is not None
        own = graph.atomic_numbers.index_select(0, graph.receivers)
        other = graph.atomic_numbers.index_select(0, graph.senders)
        near = (graph.edge_lengths < self.radii[own] + self.radii[other]).nonzero()[:, 0]
        own, other = own[near], other[near]
        lengths = graph.edge_lengths.index_select(0, near)  # (e,)
        charges = own.to(lengths.dtype), other.to(lengths.dtype)
        screening = charges[0] ** _CHARGE_EXPONENT + charges[1] ** _CHARGE_EXPONENT
        reduced = lengths * screening / _LENGTH_PREFACTOR
        screened = torch.exp(-reduced[:, None] * self.decays) @ self.weights  # (e,)
        reach = self.radii[own] + self.radii[other]
        pairs = _COULOMB * charges[0] * charges[1] / lengths * screened * envelope(lengths, reach)
        total = pairs.new_zeros(graph.num_atoms)
        return total.index_add(0, graph.receivers.index_select(0, near), pairs / 2)

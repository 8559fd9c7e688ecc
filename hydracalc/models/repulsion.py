"""Nuclei repel: the screened Coulomb energy of Ziegler, Biersack and Littmark at short range.

Not trained. It vanishes smoothly at the sum of two covalent radii, so bonded structures hardly
feel it, and it keeps atoms apart where no dataset has structures.
"""

from dataclasses import replace

import numpy as np
import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from hydracalc import units
from hydracalc.graphs.graph import AtomicGraph
from hydracalc.kernels import edge_loops
from hydracalc.models.radial import ENVELOPE_EXPONENT, envelope

# universal screening function of ZBL, The Stopping and Range of Ions in Matter (1985), eq. 2-61;
# coefficients as in LAMMPS' pair_style zbl documentation
_WEIGHTS = (0.18175, 0.50986, 0.28022, 0.02817)
_DECAYS = (3.19980, 0.94229, 0.40290, 0.20162)
_SCREENING = np.array([_WEIGHTS, _DECAYS])
_LENGTH_PREFACTOR = 0.46850  # Angstrom
_CHARGE_EXPONENT = 0.23
_COULOMB = units.HARTREE * units.BOHR  # e^2 / (4 pi epsilon_0), eV Angstrom


class Repulsion(nn.Module):
    """ZBL energy of every atom: half of each of its pairs."""

    radii: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("radii", torch.tensor(covalent_radii).float(), persistent=False)

    def with_slopes(self, graph: AtomicGraph) -> tuple[Tensor, Tensor]:
        """Repulsive energy of each atom, eV, (N,), and slopes along the edges, eV/Angstrom, (E,).

        A slope is the derivative of the structure's energy with respect to an edge's length.
        """
        assert graph.edge_lengths is not None
        lengths = graph.edge_lengths.detach()
        if lengths.device.type != "cpu":
            leaf = lengths.requires_grad_()
            with torch.enable_grad():
                energies = self(replace(graph, edge_lengths=leaf))
            return energies.detach(), torch.autograd.grad(energies.sum(), leaf)[0]
        energies = torch.zeros(graph.num_atoms, dtype=torch.float64)
        slopes = torch.empty(len(lengths), dtype=torch.float64)
        edge_loops.add_repulsion(
            lengths.numpy(),
            graph.atomic_numbers.numpy(),
            graph.senders.numpy(),
            graph.receivers.numpy(),
            self.radii.numpy(),
            (_COULOMB, _LENGTH_PREFACTOR, _CHARGE_EXPONENT),
            _SCREENING,
            ENVELOPE_EXPONENT,
            energies.numpy(),
            slopes.numpy(),
        )
        return energies, slopes

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
        weights, decays = lengths.new_tensor(_SCREENING)
        screened = torch.exp(-reduced[:, None] * decays) @ weights  # (e,)
        reach = self.radii[own] + self.radii[other]
        pairs = _COULOMB * charges[0] * charges[1] / lengths * screened * envelope(lengths, reach)
        total = pairs.new_zeros(graph.num_atoms)
        return total.index_add(0, graph.receivers.index_select(0, near), pairs / 2)

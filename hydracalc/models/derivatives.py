"""Forces and stress as derivatives of the energy: the only file that takes them.

The energy depends on positions and cell through the edge vectors alone, so one derivative with
respect to those gives both.
"""

import torch
from torch import Tensor

from hydracalc.graphs.graph import AtomicGraph


def edge_gradient(energy: Tensor, edge_vectors: Tensor, *, keep_graph: bool) -> Tensor:
    """dE/d(edge vector) of a batch, eV/Angstrom, (E, 3).

    Args:
        energy: of every structure, eV, (S,).
        edge_vectors: leaf the energy was computed from, Angstrom, (E, 3).
        keep_graph: True where a loss on forces is differentiated again.
    """
    (gradient,) = torch.autograd.grad(energy.sum(), edge_vectors, create_graph=keep_graph)
    return gradient


def forces(gradient: Tensor, graph: AtomicGraph) -> Tensor:
    """-dE/d(position), eV/Angstrom, (N, 3).

    An edge vector points from receiver to sender, so its receiver feels plus the gradient and its
    sender minus the gradient.
    """
    return graph.sum_to_receivers(gradient).index_add(0, graph.senders, gradient, alpha=-1)


def stress(gradient: Tensor, edge_vectors: Tensor, graph: AtomicGraph) -> Tensor:
    """(1/V) dE/d(strain), tension positive, eV/Angstrom^3, (S, 3, 3).

    The volume is that of the cell as given; structures whose cell spans no volume get NaN.
    """
    virial = edge_vectors[:, :, None] * gradient[:, None, :]  # (E, 3, 3)
    virial = (virial + virial.mT) / 2  # an energy that no rotation changes has no other part
    of_edge = graph.structure_index.index_select(0, graph.receivers)
    total = virial.new_zeros((graph.num_structures, 3, 3)).index_add(0, of_edge, virial)
    volume = graph.volume.to(virial.dtype)[:, None, None]
    flat = volume == 0
    # NaN is put in afterwards: dividing by it would put it into the gradients of a stress loss
    return (total / torch.where(flat, 1.0, volume)).masked_fill(flat, torch.nan)

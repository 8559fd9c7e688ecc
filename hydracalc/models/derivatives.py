"""Forces and stress as derivatives of the energy: the only file that takes them.

The energy depends on positions and cell through the edge vectors alone, so one derivative with
respect to those gives both.
"""

import torch
from torch import Tensor

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.kernels import edge_loops
from hydracalc.kernels.reach import readable


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
    if readable(gradient) and not gradient.requires_grad:
        total = gradient.new_zeros(graph.num_atoms, 3)
        ends = graph.senders.numpy(), graph.receivers.numpy()
        edge_loops.add_forces(gradient.contiguous().numpy(), *ends, total.numpy())
        return total
    return graph.sum_to_receivers(gradient).index_add(0, graph.senders, gradient, alpha=-1)


def stress(gradient: Tensor, edge_vectors: Tensor, graph: AtomicGraph) -> Tensor:
    """(1/V) dE/d(strain), tension positive, eV/Angstrom^3, (S, 3, 3).

    The volume is that of the cell as given; structures whose cell spans no volume get NaN.
    """
    if graph.num_structures == 1:
        total = (edge_vectors.mT @ gradient)[None]  # (1, 3, 3)
    else:
        virial = edge_vectors[:, :, None] * gradient[:, None, :]  # (E, 3, 3)
        of_edge = graph.structure_index.index_select(0, graph.receivers)
        total = virial.new_zeros((graph.num_structures, 3, 3)).index_add(0, of_edge, virial)
    total = (total + total.mT) / 2  # an energy that no rotation changes has no other part
    volume = graph.volume.to(total.dtype)[:, None, None]
    flat = volume == 0
    # NaN is put in afterwards: dividing by it would put it into the gradients of a stress loss
    return (total / torch.where(flat, 1.0, volume)).masked_fill(flat, torch.nan)


def freed_of_mean(forces: Tensor, graph: AtomicGraph) -> Tensor:
    """Forces without their mean in each structure, so that nothing drifts, (N, 3)."""
    count = graph.atoms_per_structure.to(forces.dtype)[:, None]
    return forces - (graph.sum_over_structures(forces) / count)[graph.structure_index]

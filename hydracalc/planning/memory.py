"""Memory that a rank needs: weights and what training keeps beside them, activations, structures.

With the layouts of arXiv:2506.21788, section 4: Ps weights of the encoder are on every rank, and Ph
for each of the branches that the rank holds.
"""

from dataclasses import dataclass

import numpy as np

from hydracalc.errors import unknown
from hydracalc.fields import FIELDS
from hydracalc.models.hydra import HydraConfig
from hydracalc.planning.sizes import ModelSize

GB = 1e9

# the optimizer keeps two moments of every weight
_MOMENTS = 2

# Tensors that the plain path has at its peak, in numbers of the type of the features: for each
# edge and channel, atom and channel, and edge alone, in each layer; of DimeNet++ also for each
# triplet in each layer. Fitted to `tensor_peak` at 32 to 96 channels, 2 to 4 layers, 8 to 40 atoms
# a structure; docs/scaling.md states the error.
_TENSORS = {
    "dimenet": (95.3, 90.0, 511.5, 319.0),
    "egnn": (25.2, 19.3, 213.0, 0.0),
    "mace": (147.9, 898.6, 0.0, 0.0),
    "painn": (0.8, 69.9, 197.9, 0.0),
    "pnaeq": (54.2, 108.8, 141.9, 0.0),
    "schnet": (13.1, 12.7, 279.5, 0.0),
}

# offsets of atoms and of two texts, split, and about so much text: group and source
_TEXT_BYTES = 40
_STRUCTURE_EXTRA = 3 * 8 + 1 + _TEXT_BYTES

# two int32 ends and three int8 images of a stored neighbor list
EDGE_BYTES = 2 * 4 + 3


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """Bytes on one rank.

    Attributes:
        weights: of the model, with what is not trained.
        gradients: one a weight.
        moments: the optimizer's, two a weight.
        average: the moving average of the weights.
        activations: at the peak of a step.
        structures: this rank's part of the store.
        neighbors: neighbor lists kept with them.
    """

    weights: int
    gradients: int
    moments: int
    average: int
    activations: int
    structures: int
    neighbors: int

    @property
    def model(self) -> int:
        """What grows with the weights alone and is there all the time."""
        return self.weights + self.gradients + self.moments + self.average

    @property
    def device(self) -> int:
        """Peak where the model is: gradients are summed where they are."""
        return self.model + self.activations

    @property
    def host(self) -> int:
        """Where the structures are."""
        return self.structures + self.neighbors


def model_bytes(size: ModelSize, num_branches: int, *, item_bytes: int = 4) -> dict[str, int]:
    """Bytes of weights, gradients, moments and average of a rank.

    Args:
        size: of the model.
        num_branches: that the rank holds.
        item_bytes: of one number.
    """
    trained = item_bytes * size.parameters(num_branches)
    kept = trained + size.buffers(num_branches)
    return {
        "weights": kept,
        "gradients": trained,
        "moments": _MOMENTS * trained,
        "average": kept,
    }


def activation_bytes(
    config: HydraConfig, num_atoms: float, num_edges: float, *, item_bytes: int = 4
) -> float:
    """Peak of a training step beyond the weights, by the formula of the encoder.

    Args:
        config: shape of the model.
        num_atoms: N of the batch.
        num_edges: E of the batch.
        item_bytes: of one number.

    Raises:
        ValueError: there is no formula for the encoder.
    """
    if config.encoder not in _TENSORS:
        raise ValueError(unknown("encoder", config.encoder, _TENSORS))
    of_edge, of_atom, of_edge_alone, of_triplet = _TENSORS[config.encoder]
    wide = config.num_layers * config.num_channels
    degree = num_edges / num_atoms if num_atoms else 0.0
    triplets = num_edges * max(degree - 1, 0)
    numbers = (
        wide * (of_edge * num_edges + of_atom * num_atoms)
        + of_edge_alone * num_edges
        + of_triplet * config.num_layers * triplets
    )
    return item_bytes * numbers


def structure_bytes(num_atoms: float) -> float:
    """Bytes of a stored structure: the field table's, offsets and two texts."""
    per_atom = per_structure = 0
    for field in FIELDS.values():
        sizes = [size for size in field.shape if not isinstance(size, str)]
        size = np.dtype(field.dtype).itemsize * int(np.prod(sizes))
        if field.is_per_atom:
            per_atom += size
        else:
            per_structure += size
    return per_atom * num_atoms + per_structure + _STRUCTURE_EXTRA

"""The contract of an encoder: a graph with edge vectors in, features of every atom out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.models.embedding import AtomEmbedding


@dataclass(frozen=True, eq=False)
class Features:
    """What an encoder says about the surroundings of each atom.

    Attributes:
        scalars: unchanged when the structure turns, (N, C).
        vectors: turn with the structure, (N, 3, C'); C' is the encoder's `num_vectors`.
    """

    scalars: Tensor
    vectors: Tensor


# carries the gradient of an energy from scalars, (N, C), to the edge vectors, (E, 3)
Pullback = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Size of an encoder.

    Attributes:
        cutoff: neighbors nearer than this are seen, Angstrom.
        num_channels: features of an atom, C.
        num_layers: rounds of messages.
        num_radial: radial functions, K.
        num_neighbors: typical number of neighbors; sums of messages are divided by its root (MACE:
            by itself).
    """

    cutoff: float = 5.0
    num_channels: int = 64
    num_layers: int = 3
    num_radial: int = 16
    num_neighbors: float = 20.0

    def __post_init__(self) -> None:
        for name in ("cutoff", "num_channels", "num_layers", "num_radial", "num_neighbors"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a positive number")


class Encoder(Protocol):
    """Every encoder: periodic, smooth at the cutoff, twice differentiable, no neighbor cap.

    Attributes:
        num_channels: C of its features.
        num_vectors: C' of its features.
        embedding: what it starts from; its type is the type that the encoder computes in.
    """

    num_channels: int
    num_vectors: int
    embedding: AtomEmbedding

    def __call__(self, graph: AtomicGraph) -> Features:
        """Features of every atom of a graph whose edge vectors are set."""
        ...

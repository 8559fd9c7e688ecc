"""PaiNN for inference on the processor: features, and derivatives by the chain rule written out.

The same numbers as `painn.PaiNN` gives with autograd, without its bookkeeping: for a small molecule
that is most of the time of a step. Only derivatives with respect to the edge vectors are taken.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hydracalc.graphs.graph import AtomicGraph
from hydracalc.kernels import edge_loops, threads, update_loops
from hydracalc.kernels import messages as loops
from hydracalc.kernels.messages import Inputs
from hydracalc.models.encoder import Features, Pullback
from hydracalc.models.painn import _NORM_FLOOR, Message, PaiNN, Update
from hydracalc.models.radial import ENVELOPE_EXPONENT

# filters up to this size are kept for the derivatives; larger ones are made again in blocks
_KEPT_FILTERS = 1 << 21

_silu = torch.ops.aten.silu.default
_silu_backward = torch.ops.aten.silu_backward.default


class _Network(NamedTuple):
    """Two linear maps with SiLU between them; weights as (in, out) and as (out, in)."""

    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor
    first_back: Tensor
    second_back: Tensor

    @classmethod
    def of(cls, module: torch.nn.Sequential) -> "_Network":
        """The weights of such a network, as they are and transposed."""
        first, first_bias, second, second_bias = (
            getattr(module[place], name) for place in (0, -1) for name in ("weight", "bias")
        )
        return cls(first.T, first_bias, second.T, second_bias, first, second)

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What is before the nonlinearity, and the outputs."""
        hidden = torch.addmm(self.first_bias, inputs, self.first)
        return hidden, torch.addmm(self.second_bias, _silu(hidden), self.second)

    def back(self, of_outputs: Tensor, hidden: Tensor) -> Tensor:
        """Gradient before the first linear map, to be carried through it."""
        return _silu_backward(torch.mm(of_outputs, self.second_back), hidden)


class _Layer(NamedTuple):
    """Weights of a message and its update."""

    neighbor_net: _Network
    mixing: Tensor  # (K, 3C), with the scale of the sum
    mix: Tensor  # (C, 2C)
    mix_back: Tensor  # (2C, C)
    gate_net: _Network

    @classmethod
    def of(cls, message: Message, update: Update) -> "_Layer":
        mixing = (message.radial_filter.weight.T * message.scale).contiguous()
        mix = update.mix.weight
        nets = (_Network.of(each) for each in (message.neighbor_net, update.gate_net))
        return cls(next(nets), mixing, mix.T, mix, next(nets))


class _Kept(NamedTuple):
    """What a layer's derivatives need of its forward pass."""

    inputs: Inputs
    filters: Tensor | None  # (P, 3C)
    sent: Tensor  # (N, C), before the nonlinearity that makes gates of it
    mixed: np.ndarray  # (N, 3, 2C)
    length: np.ndarray  # (N, C)
    overlap: np.ndarray  # (N, C)
    hidden: Tensor  # (N, C), before the nonlinearity
    gates: np.ndarray  # (N, 3C) of the update


class PaiNNPullback:
    """A PaiNN whose weights stay as they are.

    Args:
        encoder: float32 or float64, in the processor's memory.
    """

    def __init__(self, encoder: PaiNN) -> None:
        layers = zip(encoder.messages, encoder.updates, strict=True)
        self.layers = [_Layer.of(*layer) for layer in layers]  # type: ignore[arg-type]
        self.cutoff = encoder.basis.cutoff

    def __call__(self, start: Tensor, graph: AtomicGraph) -> tuple[Features, Pullback]:
        """Features of every atom, and what carries gradients of scalars to the edge vectors.

        Args:
            start: scalars before the first layer, (N, C).
            graph: with edge vectors.
        """
        assert graph.edge_vectors is not None
        assert graph.edge_lengths is not None
        chosen = graph.pairs()
        lengths = graph.edge_lengths.index_select(0, chosen)  # (P,)
        radial = lengths.new_empty(len(lengths), len(self.layers[0].mixing))
        slopes = torch.empty_like(radial)
        directions = graph.edge_vectors.index_select(0, chosen) / lengths[:, None]
        bessel = partial(edge_loops.bessel, lengths.numpy(), self.cutoff, ENVELOPE_EXPONENT)
        threads.over_rows(radial, bessel, radial, slopes)
        pairs = radial, directions, graph.senders[chosen], graph.receivers[chosen]
        scalars, vectors = start.clone(), None
        kept = []
        for layer in self.layers:
            vectors, state = _forward(layer, scalars, vectors, pairs)
            kept.append(state)

        def pullback(of_scalars: Tensor) -> Tensor:
            to_radial, to_directions = self._back(kept, of_scalars)
            result = torch.empty_like(directions)
            given = to_radial, slopes, to_directions, directions, lengths
            work = partial(edge_loops.gradient, *(each.numpy() for each in given))
            threads.over_rows(to_radial, work, result)
            # the energy is a function of one edge of each pair
            return result.new_zeros(graph.num_edges, 3).index_copy_(0, chosen, result)

        assert vectors is not None  # a config has at least one layer
        return Features(scalars=scalars, vectors=vectors), pullback

    def _back(self, kept: list[_Kept], of_scalars: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the radial functions, (P, K), and of the directions, (P, 3)."""
        of_scalars = of_scalars.clone(memory_format=torch.contiguous_format)
        of_vectors = of_scalars.new_zeros(of_scalars.shape[0], 3, of_scalars.shape[1])
        to_radial: Any = 0
        to_directions: Any = 0
        for layer, state in zip(reversed(self.layers), reversed(kept), strict=True):
            _undo_update(layer, state, of_scalars, of_vectors)
            of_gates, of_radial, _, of_directions, moved = loops.first_derivatives(
                state.inputs, of_scalars, of_vectors, has_mixing=False, filters=state.filters
            )
            net = layer.neighbor_net
            of_scalars.addmm_(net.back(of_gates, state.sent), net.first_back)
            if moved is not None:
                of_vectors += moved
            to_radial, to_directions = of_radial + to_radial, of_directions + to_directions
        return to_radial, to_directions


def _forward(
    layer: _Layer, scalars: Tensor, vectors: Tensor | None, pairs: tuple[Tensor, ...]
) -> tuple[Tensor, _Kept]:
    """One round of messages and its update: new vectors; the scalars are overwritten."""
    radial, directions, *ends = pairs
    num_atoms, channels = scalars.shape
    sent, gates = layer.neighbor_net(scalars)  # (N, C), (N, 3C)
    inputs = Inputs(gates, radial, layer.mixing, directions, vectors, *ends)
    moved = scalars.new_zeros(num_atoms, 3, channels) if vectors is None else vectors.clone()
    small = radial.shape[0] * layer.mixing.shape[1] <= _KEPT_FILTERS
    filters = torch.mm(radial, layer.mixing) if small else None
    loops.add_messages(inputs, scalars, moved, filters)
    mixed = torch.mm(moved.view(-1, channels), layer.mix).view(num_atoms, 3, 2 * channels)
    u, length, overlap = mixed.numpy(), torch.empty_like(sent), torch.empty_like(sent)
    threads.over_rows(scalars, partial(update_loops.measure, u, _NORM_FLOOR), length, overlap)
    hidden, gates = layer.gate_net(torch.cat([scalars, length], dim=1))
    kept = _Kept(inputs, filters, sent, u, length.numpy(), overlap.numpy(), hidden, gates.numpy())
    work = partial(update_loops.combine, kept.gates, kept.overlap, u)
    threads.over_rows(scalars, work, scalars, moved)
    return moved, kept


def _undo_update(layer: _Layer, kept: _Kept, of_scalars: Tensor, of_vectors: Tensor) -> None:
    """Carry gradients from behind the update to before it, in place."""
    num_atoms, channels = of_scalars.shape
    to_gates = of_scalars.new_empty(num_atoms, 3 * channels)
    to_overlap, to_mixed = torch.empty_like(of_scalars), to_gates.new_empty(kept.mixed.shape)
    given = kept.gates, kept.overlap, kept.mixed, of_scalars.numpy(), of_vectors.numpy()
    work = partial(update_loops.first_of_combine, *given)
    threads.over_rows(of_scalars, work, to_gates, to_overlap, to_mixed)
    net = layer.gate_net
    of_seen = torch.mm(net.back(to_gates, kept.hidden), net.first_back)  # (N, 2C)
    of_scalars += of_seen[:, :channels]
    of_length = of_seen[:, channels:].contiguous().numpy()
    work = partial(update_loops.first_of_measure, kept.mixed, kept.length, of_length)
    threads.over_rows(of_scalars, partial(work, to_overlap.numpy()), to_mixed)
    of_vectors.view(-1, channels).addmm_(to_mixed.view(-1, 2 * channels), layer.mix_back)

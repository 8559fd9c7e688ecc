"""Branches: one dataset at one level of theory each, with its own heads on the shared encoder.

Weights of all branches are stacked, so a mixture of every branch costs one batched product, and one
branch is a slice of the same tensors.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from hydracalc.card import Card
from hydracalc.models.encoder import Features
from hydracalc.references import References


@dataclass(frozen=True, kw_only=True, eq=False)
class BranchSpec:
    """What a branch is, apart from its weights.

    Attributes:
        name: branch name, the dataset's identifier.
        card: what the dataset states of itself.
        references: energy of each element, eV.
        scale: energy that a head output of one stands for, eV.
        num_structures: labelled structures it was trained on.
        charges: total charges among them, e.
        spin_multiplicities: spin multiplicities among them.
        metrics: errors on its own test split, keys carry the unit.
    """

    name: str
    card: Card
    references: References
    scale: float = 1.0
    num_structures: int = 0
    charges: tuple[int, ...] = (0,)
    spin_multiplicities: tuple[int, ...] = (1,)
    metrics: dict[str, float] = field(default_factory=dict)


class StackedLinear(nn.Module):
    """B linear maps side by side.

    Args:
        num_branches: B.
        num_in: channels in.
        num_out: channels out.
    """

    def __init__(self, num_branches: int, num_in: int, num_out: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(num_in)
        self.weight = nn.Parameter(
            torch.empty(num_branches, num_in, num_out).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(torch.zeros(num_branches, 1, num_out))

    def forward(self, inputs: Tensor, branches: slice) -> Tensor:
        """Apply the maps of some branches, (b or 1, n, in) to (b, n, out)."""
        return torch.matmul(inputs, self.weight[branches]) + self.bias[branches]


class StackedMLP(nn.Module):
    """B small networks side by side, SiLU between their layers.

    Args:
        num_branches: B.
        widths: channels from input to output.
    """

    def __init__(self, num_branches: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(StackedLinear(num_branches, *ends) for ends in pairwise(widths))

    def forward(self, inputs: Tensor, branches: slice) -> Tensor:
        """Outputs of some branches, (n, in) to (b, n, out)."""
        hidden = inputs[None]
        for layer in self.layers[:-1]:
            hidden = nn.functional.silu(layer(hidden, branches))
        return self.layers[-1](hidden, branches)

    def apart(self) -> list[Callable[[Tensor], Tensor]]:
        """The network of each branch, from (n, in) to (n, out), for a loss.

        Their gradients are put side by side once; the gradient of every slice would be as large as
        the weights of all branches.
        """
        layers = [
            zip(layer.weight.unbind(), layer.bias.unbind(), strict=True)  # type: ignore[operator]
            for layer in self.layers
        ]
        return [partial(_one_network, of_branch) for of_branch in zip(*layers, strict=True)]

    def of_some(self, branches: slice) -> "HeadPullback":
        """The networks of some branches, for inference."""
        return HeadPullback(
            [(layer.weight[branches], layer.bias[branches]) for layer in self.layers]  # type: ignore[index]
        )


def _one_network(layers: Sequence[tuple[Tensor, Tensor]], inputs: Tensor) -> Tensor:
    """Outputs of one network, (n, in) to (n, out), bit for bit as `StackedMLP.forward` has them.

    Args:
        layers: weight, (in, out), and bias, (1, out), of each.
        inputs: (n, in).
    """
    hidden = inputs[None]
    for number, (weight, bias) in enumerate(layers):
        hidden = nn.functional.silu(hidden) if number else hidden
        hidden = torch.matmul(hidden, weight[None]) + bias
    return hidden[0]


class HeadPullback:
    """Networks of some branches whose weights stay as they are.

    Args:
        layers: weight, (b, in, out), and bias, (b, 1, out), of each layer.
    """

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.layers = list(layers)
        self.back = [weight.mT for weight, _ in reversed(self.layers)]

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Outputs, and what carries their gradient to the inputs.

        Args:
            inputs: (n, in).

        Returns:
            outputs, (b, n, out); a function from their gradient to that of the inputs, (n, in).
        """
        hidden, before = inputs.expand(len(self.layers[0][0]), -1, -1), []
        for weight, bias in self.layers[:-1]:
            before.append(torch.baddbmm(bias, hidden, weight))
            hidden = nn.functional.silu(before[-1])

        def pullback(of_outputs: Tensor) -> Tensor:
            gradient = of_outputs
            for weight, state in zip(self.back, reversed(before), strict=False):
                gradient = torch.ops.aten.silu_backward(torch.bmm(gradient, weight), state)
            return torch.bmm(gradient, self.back[-1]).sum(dim=0)

        return torch.baddbmm(self.layers[-1][1], hidden, self.layers[-1][0]), pullback


class Float64Table(nn.Module):
    """Numbers that stay float64 whatever type the model is cast to: reference energies.

    Args:
        values: the numbers, any shape.
    """

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values.to(torch.float64))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        device = fn(torch.empty(0, device=self.values.device)).device
        self.values = self.values.to(device)
        return self


class Branches(nn.Module):
    """All branches of a model: references, scales, energy heads and optional direct force heads.

    Args:
        specs: the branches, B of them.
        num_channels: scalars the encoder gives, C.
        num_vectors: vectors the encoder gives, C'.
        head_widths: hidden layers of every head.
        direct_forces: also build heads that give forces without a derivative.
    """

    def __init__(
        self,
        specs: Sequence[BranchSpec],
        *,
        num_channels: int,
        num_vectors: int,
        head_widths: Sequence[int],
        direct_forces: bool,
    ) -> None:
        super().__init__()
        count = len(specs)
        self.energy = StackedMLP(count, (num_channels, *head_widths, 1))
        self.force_gates = (
            StackedMLP(count, (num_channels, *head_widths, num_vectors)) if direct_forces else None
        )
        references = np.stack([spec.references.energies for spec in specs])
        self.references = Float64Table(torch.from_numpy(references))  # (B, 119), NaN: unsupported
        self.scales = Float64Table(
            torch.tensor([spec.scale for spec in specs], dtype=torch.float64)
        )

    def reference_energies(self, atomic_numbers: Tensor) -> Tensor:
        """Reference energy of every atom in every branch, eV, float64, (B, N); NaN: unsupported."""
        return self.references.values.index_select(1, atomic_numbers)

    def own_interaction_energies(
        self, features: Features, isolated: Tensor, element_index: Tensor, branch_index: Tensor
    ) -> Tensor:
        """Energy of every atom beyond that of the isolated atom, in its own branch, eV, (N,).

        Args:
            features: of the atoms; only scalars, (N, C), are read.
            isolated: scalars of one isolated atom of each element present, (U, C).
            element_index: which of those each atom is, (N,).
            branch_index: branch of each atom, (N,).
        """
        networks = self.energy.apart()
        energies = features.scalars.new_zeros(len(element_index))
        for branch in torch.unique(branch_index).tolist():
            atoms = (branch_index == branch).nonzero()[:, 0]  # (n,)
            together = torch.cat([features.scalars.index_select(0, atoms), isolated])  # (n + U, C)
            outputs = networks[branch](together)[:, 0]  # (n + U,)
            alone = outputs[len(atoms) :].index_select(0, element_index[atoms])  # (n,)
            scale = self.scales.values[branch].to(outputs.dtype)
            own = (outputs[: len(atoms)] - alone) * scale
            energies = energies.index_add(0, atoms, own)
        return energies

    def direct_forces(self, features: Features, branches: slice) -> Tensor:
        """Forces as the direct heads give them, eV/Angstrom, (b, N, 3).

        Raises:
            ValueError: the model was built without direct force heads.
        """
        if self.force_gates is None:
            raise ValueError("this model has no direct force heads; use forces='conservative'")
        gates = self.force_gates(features.scalars, branches)  # (b, N, C')
        scales = self.scales.values[branches, None, None].to(gates.dtype)
        return torch.einsum("bnc,nxc->bnx", gates, features.vectors) * scales

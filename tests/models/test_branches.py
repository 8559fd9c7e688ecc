"""Networks of branches one by one are the stacked ones, bit for bit, gradients too."""

import pytest
import torch
from builders import make_model

from hydracalc.models.branches import StackedMLP
from hydracalc.models.encoder import Features

# paper-like, shipped and odd widths; dtype
WIDTHS = [
    ((48, 61, 61, 1), torch.float32),
    ((64, 64, 1), torch.float32),
    ((7, 5, 3), torch.float64),
]


def derivatives(networks, parameters, inputs):
    """Outputs, their gradient by the inputs, and a loss on both by the weights."""
    inputs = inputs.clone().requires_grad_()
    outputs = [network(rows) for network, rows in zip(networks, inputs, strict=True)]
    total = torch.stack([each.square().sum() for each in outputs]).sum()
    (gradient,) = torch.autograd.grad(total, inputs, create_graph=True)
    of_weights = torch.autograd.grad(total + gradient.square().sum(), parameters)
    return [*outputs, gradient, *of_weights]


@pytest.mark.parametrize(("widths", "dtype"), WIDTHS)
def test_networks_apart_are_slices(widths, dtype):
    torch.manual_seed(0)
    stacked = StackedMLP(3, widths).to(dtype)
    for parameter in stacked.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    inputs = torch.randn(3, 11, widths[0], dtype=dtype)
    slices = [lambda x, b=b: stacked(x, slice(b, b + 1))[0] for b in range(3)]
    parameters = list(stacked.parameters())
    one = derivatives(slices, parameters, inputs)
    other = derivatives(stacked.apart(), parameters, inputs)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert float(one[-1].abs().max()) > 0


def test_a_branch_without_atoms_has_a_gradient_of_zero():
    stacked = StackedMLP(3, (4, 4, 1))
    stacked.apart()[1](torch.ones(2, 4)).sum().backward()
    touched = [layer.weight.grad.abs().amax(dim=(1, 2)) > 0 for layer in stacked.layers]
    assert [each.tolist() for each in touched] == [[False, True, False]] * 2


def test_every_atom_has_the_energy_of_its_own_branch():
    """Held against all branches for all atoms, of which each takes its own."""
    branches = make_model().branches
    branches.scales.values = torch.tensor([0.7, 1.3], dtype=torch.float64)
    torch.manual_seed(1)
    scalars, isolated = (torch.randn(n, 16, dtype=torch.float64) for n in (6, 3))
    element, branch = torch.tensor([0, 2, 1, 1, 0, 2]), torch.tensor([1, 0, 0, 1, 1, 0])
    features = Features(scalars, torch.zeros(6, 3, 16, dtype=torch.float64))
    every = branches.energy(torch.cat([scalars, isolated]), slice(0, 2))[..., 0]  # (B, N + U)
    beyond = (every[:, :6] - every[:, 6:][:, element]) * branches.scales.values[:, None]
    found = branches.own_interaction_energies(features, isolated, element, branch)
    torch.testing.assert_close(found, beyond[branch, torch.arange(6)], rtol=0, atol=1e-13)

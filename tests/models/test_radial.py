"""The envelope and the basis vanish at the cutoff with their first two derivatives."""

import math

import torch

from hydracalc.models.radial import BesselBasis, envelope


def derivatives(function, at):
    x = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    values = [function(x).sum()]
    for _ in range(2):
        (slope,) = torch.autograd.grad(values[-1], x, create_graph=True)
        values.append(slope.sum())
    return torch.stack(values)


def test_the_envelope_ends_with_no_value_slope_or_curvature():
    near = derivatives(lambda d: envelope(d, 5.0), 5.0 - 1e-7)
    assert near.abs().max() < 1e-5
    assert derivatives(lambda d: envelope(d, 5.0), 5.5).abs().max() == 0
    assert envelope(torch.tensor([0.0]), 5.0).item() == 1


def test_every_basis_function_ends_smoothly_and_is_alive_inside():
    basis = BesselBasis(8, 4.0).double()
    assert derivatives(lambda d: basis(d).sum(), 4.0 - 1e-7).abs().max() < 1e-4
    assert basis(torch.tensor([1.3]).double()).abs().min() > 1e-3
    assert basis(torch.tensor([4.0, 6.0]).double()).abs().max() == 0


def test_a_basis_cast_to_float64_has_every_digit():
    """Frequencies n pi / c rounded to float32 would be wrong in the eighth digit."""
    lengths = torch.linspace(0.5, 4.5, 9, dtype=torch.float64)
    counts = torch.arange(1, 9, dtype=torch.float64)
    waves = torch.sin(lengths[:, None] * counts * math.pi / 4.7) / lengths[:, None]
    expected = math.sqrt(2) * waves * envelope(lengths, 4.7)[:, None]
    got = BesselBasis(8, 4.7).to(torch.bfloat16).double()(lengths)
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-14)

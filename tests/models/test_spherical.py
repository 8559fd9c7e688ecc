"""The spherical basis is the published one, and smooth where its closed forms are not."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import eval_legendre, spherical_jn

from hydracalc.models.radial import envelope
from hydracalc.models.spherical import SphericalBasis, bessel_roots, chebyshev

DEGREES, ROOTS, CUTOFF = 7, 12, 5.0


@pytest.fixture
def basis():
    return SphericalBasis(DEGREES, ROOTS, CUTOFF)


def test_roots_are_roots_and_none_is_left_out():
    roots = bessel_roots(DEGREES, ROOTS)
    for degree, own in enumerate(roots):
        assert np.abs(spherical_jn(degree, own)).max() < 1e-13
        line = np.linspace(1e-6, own[-1] + 1e-3, 20001)
        assert np.count_nonzero(np.diff(np.sign(spherical_jn(degree, line)))) == ROOTS


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_the_radial_part_is_the_normalized_spherical_bessel_function(basis, dtype, limit):
    lengths = torch.linspace(1e-3, CUTOFF, 301, dtype=dtype)
    x = lengths.double().numpy()[:, None, None] / CUTOFF
    roots, degrees = bessel_roots(DEGREES, ROOTS), np.arange(DEGREES)[:, None]
    norms = math.sqrt(2) / np.abs(spherical_jn(degrees + 1, roots))
    smooth = envelope(lengths.double(), CUTOFF).numpy()[:, None, None]
    expected = norms * spherical_jn(degrees, roots * x) * smooth
    got = basis.to(dtype).radial(lengths).double().numpy()
    np.testing.assert_allclose(got, expected, atol=limit)


def test_bessel_functions_of_one_degree_are_orthonormal():
    roots = bessel_roots(3, 2)
    for degree, (first, second) in enumerate(roots):
        norms = [abs(spherical_jn(degree + 1, root)) / math.sqrt(2) for root in (first, second)]

        def overlap(a, b, n=degree):
            return quad(lambda x: x**2 * spherical_jn(n, a * x) * spherical_jn(n, b * x), 0, 1)[0]

        assert overlap(first, second) == pytest.approx(0, abs=1e-12)
        assert overlap(first, first) / norms[0] ** 2 == pytest.approx(1)


def test_the_angular_part_is_the_zonal_harmonics(basis):
    cosines = torch.linspace(-1, 1, 101, dtype=torch.float64)
    degrees = np.arange(DEGREES)
    norms = np.sqrt((2 * degrees + 1) / (4 * np.pi))
    expected = norms * eval_legendre(degrees, cosines.numpy()[:, None])
    np.testing.assert_allclose(basis.double().angular(cosines).numpy(), expected, atol=1e-6)


def test_chebyshev_polynomials_are_cosines_of_multiples():
    angles = torch.linspace(0, math.pi, 50, dtype=torch.float64)
    expected = torch.cos(angles[:, None] * torch.arange(60))
    torch.testing.assert_close(chebyshev(torch.cos(angles), 59), expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("at", [1e-12, 1e-3, CUTOFF - 1e-9, CUTOFF, 3 * CUTOFF])
def test_two_derivatives_are_finite_everywhere_and_vanish_at_the_cutoff(basis, at):
    length = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    value = basis.double().radial(length).sum()
    (slope,) = torch.autograd.grad(value, length, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), length)
    assert torch.isfinite(curvature).all()
    if at > CUTOFF - 1e-6:
        assert max(abs(value), abs(slope), abs(curvature)) < 1e-4


@pytest.mark.parametrize("at", [-1.0, 1.0, 0.2])
def test_derivatives_with_the_angle_are_right_also_at_straight_angles(basis, at):
    cosine = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    function = basis.double().angular
    assert torch.autograd.gradcheck(function, cosine)
    assert torch.autograd.gradgradcheck(function, cosine)


def test_derivatives_with_the_distance_are_right(basis):
    lengths = torch.tensor([0.01, 0.7, 2.3, 4.9], dtype=torch.float64, requires_grad=True)
    function = basis.double().radial
    assert torch.autograd.gradcheck(function, lengths, atol=1e-4)
    assert torch.autograd.gradgradcheck(function, lengths, atol=1e-3)

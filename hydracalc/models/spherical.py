"""How a distance and an angle enter a model together: spherical Bessel functions and harmonics."""

import math

import numpy as np
import torch
from numpy.polynomial.chebyshev import chebinterpolate
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn

from hydracalc.models.radial import envelope

# terms of a Chebyshev series of j_l(z x) beyond z/2, after which it has converged in float64
_EXTRA_TERMS = 30


class SphericalBasis(nn.Module):
    """j_l(z_ln d/c) Y_l0(angle) with the n-th root z_ln of j_l [arXiv:2003.03123, eq. 6].

    The closed forms of j_l cancel where the distance is short, and their many terms are slow; here
    each is a series of Chebyshev polynomials of the distance, and the harmonics are polynomials of
    the cosine. All are smooth, also at vanishing distance and at straight angles. The envelope is
    1 at vanishing distance as in the paper; its published code divides by d/c once more.

    Args:
        num_spherical: degrees l = 0..L-1.
        num_radial: roots n = 1..K of each degree.
        cutoff: c, Angstrom.
    """

    coefficients: Tensor
    norms: Tensor

    def __init__(self, num_spherical: int, num_radial: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.shape = (num_spherical, num_radial)
        coefficients = torch.tensor(_series(bessel_roots(num_spherical, num_radial)))
        norms = [math.sqrt((2 * degree + 1) / (4 * math.pi)) for degree in range(num_spherical)]
        kind = torch.get_default_dtype()
        self.register_buffer("coefficients", coefficients.to(kind), persistent=False)
        self.register_buffer("norms", torch.tensor(norms), persistent=False)

    def radial(self, lengths: Tensor) -> Tensor:
        """The part of the distance, times the envelope, (E,) in Angstrom to (E, L, K)."""
        # beyond the cutoff the envelope is zero, while the series would grow without bound
        places = 2 * (lengths / self.cutoff).clamp(max=1.0) - 1
        polynomials = chebyshev(places, self.coefficients.shape[0] - 1)  # (E, M)
        polynomials = polynomials * envelope(lengths, self.cutoff)[:, None]
        # the terms of a series cancel each other: three digits of each would leave none of the sum
        with torch.autocast(lengths.device.type, enabled=False):
            return (polynomials @ self.coefficients).unflatten(-1, self.shape)  # (E, L, K)

    def angular(self, cosines: Tensor) -> Tensor:
        """The part of the angle, (T,) to (T, L)."""
        values = [torch.ones_like(cosines), cosines]
        for degree in range(2, self.shape[0]):  # Bonnet's recurrence of the Legendre polynomials
            ahead = (2 * degree - 1) / degree * cosines * values[-1]
            values.append(ahead - (degree - 1) / degree * values[-2])
        return torch.stack(values[: self.shape[0]], dim=-1) * self.norms  # (T, L)


def chebyshev(places: Tensor, degree: int) -> Tensor:
    """Chebyshev polynomials T_0..T_degree at places in [-1, 1], (E,) to (E, degree + 1).

    T_{n+m} = 2 T_n T_m - T_{n-m} doubles how many are known at each step.
    """
    known = torch.stack([torch.ones_like(places), places], dim=-1)
    while known.shape[-1] <= degree:
        more = 2 * known[:, -1:] * known[:, 1:] - known[:, :-1].flip(-1)
        known = torch.cat([known, more], dim=-1)
    return known[:, : degree + 1]


def bessel_roots(num_spherical: int, num_radial: int) -> np.ndarray:
    """The first positive roots of j_0..j_{L-1}, (L, K).

    The roots of j_l lie between those of j_{l-1}, and those of j_0 are multiples of pi.
    """
    roots = [np.arange(1, num_radial + num_spherical) * math.pi]
    for degree in range(1, num_spherical):
        ends = zip(roots[-1][:-1], roots[-1][1:], strict=True)
        found = [
            brentq(lambda z, n=degree: spherical_jn(n, z), low, high, xtol=1e-13)
            for low, high in ends
        ]
        roots.append(np.array(found))
    return np.stack([each[:num_radial] for each in roots])


def _series(roots: np.ndarray) -> np.ndarray:
    """Chebyshev coefficients on [0, 1] of the normalized j_l(z_ln x), (M, L K)."""
    degrees = np.arange(len(roots))[:, None]
    norms = np.sqrt(2.0) / np.abs(spherical_jn(degrees + 1, roots))  # (L, K)

    def values(places: np.ndarray) -> np.ndarray:
        x = (places[:, None, None] + 1) / 2
        return (spherical_jn(degrees, roots * x) * norms).reshape(len(places), -1)

    return chebinterpolate(values, math.ceil(roots.max() / 2) + _EXTRA_TERMS)

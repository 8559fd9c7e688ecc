"""Functions of the distance between two atoms, and their slopes, edge by edge.

The formulas are those of `models.radial` and `models.repulsion`. Numbers are computed in float64,
whatever the type of the results.
"""

import math

import numpy as np

from hydracalc.kernels.jit import compiled

Array = np.ndarray


@compiled
def envelope_and_slope(x: float, p: int) -> tuple[float, float]:
    """1 - x^p (a - b x + c x^2), zero from x = 1 on, and its derivative with respect to x."""
    if x >= 1:
        return 0.0, 0.0
    a, b, c = (p + 1) * (p + 2) / 2, p * (p + 2), p * (p + 1) / 2
    power = x ** (p - 1)
    value = 1 - power * x * (a - x * b + x * x * c)
    return value, -power * (p * a - x * (p + 1) * b + x * x * (p + 2) * c)


@compiled
def bessel(
    lengths: Array, cutoff: float, p: int, first: int, last: int, values: Array, slopes: Array
) -> None:
    """Basis values and their slopes, (E, K), for the edges [first, last)."""
    step, root = math.pi / cutoff, math.sqrt(2.0)
    for e in range(first, last):
        d = float(lengths[e])
        u, du = envelope_and_slope(d / cutoff, p)
        amplitude = root * u / d
        slope = root * (du / cutoff - u / d) / d
        sine, cosine = math.sin(step * d), math.cos(step * d)
        # sin((n+1)x) = 2 cos(x) sin(nx) - sin((n-1)x), and so the cosines
        s, s_before, c, c_before = sine, 0.0, cosine, 1.0
        for n in range(values.shape[1]):
            values[e, n] = amplitude * s
            slopes[e, n] = slope * s + amplitude * step * (n + 1) * c
            s, s_before = 2 * cosine * s - s_before, s
            c, c_before = 2 * cosine * c - c_before, c


@compiled
def add_repulsion(
    lengths: Array,
    atomic_numbers: Array,
    senders: Array,
    receivers: Array,
    radii: Array,
    constants: tuple[float, float, float],
    screening: Array,
    p: int,
    energies: Array,
    slopes: Array,
) -> None:
    """Add half of each pair's screened repulsion to its receiver, (N,); set its slope, (E,).

    `constants` are e^2 / (4 pi epsilon_0), the screening length and the exponent of the charges;
    `screening` has weights and decays of the screening function as rows.
    """
    coulomb, screening_length, exponent = constants
    for e in range(lengths.shape[0]):
        own, other = atomic_numbers[receivers[e]], atomic_numbers[senders[e]]
        reach = float(radii[own]) + float(radii[other])
        d = float(lengths[e])
        slopes[e] = 0
        if d >= reach:
            continue
        factor = (own**exponent + other**exponent) / screening_length
        screened, decrease = 0.0, 0.0
        for n in range(screening.shape[1]):
            term = screening[0, n] * math.exp(-screening[1, n] * factor * d)
            screened += term
            decrease -= screening[1, n] * factor * term
        u, du = envelope_and_slope(d / reach, p)
        scale = coulomb * own * other / (2 * d)
        energies[receivers[e]] += scale * screened * u
        slopes[e] = scale * ((decrease - screened / d) * u + screened * du / reach)


@compiled
def gradient(
    of_radial: Array,
    slopes: Array,
    of_directions: Array,
    directions: Array,
    lengths: Array,
    first: int,
    last: int,
    result: Array,
) -> None:
    """Gradient of the edge vectors, (E, 3), from those of radial functions and directions."""
    for e in range(first, last):
        along = of_radial[e, 0] * 0
        for k in range(of_radial.shape[1]):
            along += of_radial[e, k] * slopes[e, k]
        turning = along * 0
        for axis in range(3):
            turning += of_directions[e, axis] * directions[e, axis]
        for axis in range(3):
            sideways = of_directions[e, axis] - turning * directions[e, axis]
            result[e, axis] = sideways / lengths[e] + along * directions[e, axis]


@compiled
def add_forces(gradient: Array, senders: Array, receivers: Array, forces: Array) -> None:
    """Add to the forces, (N, 3), what the gradient of the edge vectors, (E, 3), means for them."""
    for e in range(gradient.shape[0]):
        for axis in range(3):
            forces[receivers[e], axis] += gradient[e, axis]
            forces[senders[e], axis] -= gradient[e, axis]

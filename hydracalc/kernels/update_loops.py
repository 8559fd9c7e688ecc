"""What PaiNN's update does between its matrix products, and its first and second derivatives.

It takes two steps [arXiv:2102.03150, Fig. 2c]. `measure` makes lengths L = sqrt(sum V^2 + floor)
and overlaps O = sum U V of mixed vectors, which hold U and V side by side. `combine` makes
increments of the scalars, g1 + g2 O, and of the vectors, g3 U. First derivatives are written d,
gradients that arrive at those h. Every function works on the atoms [first, last); all arrays are
contiguous.
"""

import numpy as np

from hydracalc.kernels.jit import compiled

Array = np.ndarray


@compiled
def measure(mixed: Array, floor: float, first: int, last: int, length: Array, over: Array) -> None:
    """Lengths and overlaps, each (N, C), of mixed vectors, (N, 3, 2C)."""
    channels = over.shape[1]
    for n in range(first, last):
        for c in range(channels):
            k = channels + c
            total, product = mixed[n, 0, k] * 0 + floor, mixed[n, 0, k] * 0
            for axis in range(3):
                u, v = mixed[n, axis, c], mixed[n, axis, k]
                total += v * v
                product += u * v
            length[n, c] = np.sqrt(total)
            over[n, c] = product


@compiled
def first_of_measure(
    mixed: Array, length: Array, of_length: Array, of_over: Array, first: int, last: int, to: Array
) -> None:
    """Add dU = dO V and dV = dO U + (dL / L) V, side by side, (N, 3, 2C)."""
    channels = length.shape[1]
    for n in range(first, last):
        for axis in range(3):
            for c in range(channels):
                u, v = mixed[n, axis, c], mixed[n, axis, channels + c]
                to[n, axis, c] += of_over[n, c] * v
                to[n, axis, channels + c] += of_over[n, c] * u + of_length[n, c] / length[n, c] * v


@compiled
def second_of_measure(
    mixed: Array,
    length: Array,
    of_length: Array,
    of_over: Array,
    h: Array,
    first: int,
    last: int,
    to_mixed: Array,
    to_length: Array,
    to_over: Array,
) -> None:
    """Gradients of the mixed vectors, of dL and of dO."""
    channels = length.shape[1]
    for n in range(first, last):
        for c in range(channels):
            k = channels + c
            hv, hu = mixed[n, 0, c] * 0, mixed[n, 0, c] * 0
            for axis in range(3):
                hv += h[n, axis, k] * mixed[n, axis, k]
                hu += h[n, axis, c] * mixed[n, axis, k] + h[n, axis, k] * mixed[n, axis, c]
            to_length[n, c] = hv / length[n, c]
            to_over[n, c] = hu
            slope = of_length[n, c] / length[n, c]
            bend = slope * hv / (length[n, c] * length[n, c])
            for axis in range(3):
                to_mixed[n, axis, c] = of_over[n, c] * h[n, axis, k]
                to_mixed[n, axis, k] = (
                    of_over[n, c] * h[n, axis, c] + slope * h[n, axis, k] - bend * mixed[n, axis, k]
                )


@compiled
def combine(
    gates: Array, over: Array, mixed: Array, first: int, last: int, shift: Array, turn: Array
) -> None:
    """Add the increments to scalars, (N, C), and to vectors, (N, 3, C)."""
    channels = over.shape[1]
    for n in range(first, last):
        for c in range(channels):
            shift[n, c] += gates[n, c] + gates[n, channels + c] * over[n, c]
        for axis in range(3):
            for c in range(channels):
                turn[n, axis, c] += gates[n, 2 * channels + c] * mixed[n, axis, c]


@compiled
def first_of_combine(
    gates: Array,
    over: Array,
    mixed: Array,
    of_shift: Array,
    of_turn: Array,
    first: int,
    last: int,
    to_gates: Array,
    to_over: Array,
    to_mixed: Array,
) -> None:
    """Gradients of gates, overlaps and mixed vectors (their second half is zero)."""
    channels = over.shape[1]
    for n in range(first, last):
        for c in range(channels):
            to_gates[n, c] = of_shift[n, c]
            to_gates[n, channels + c] = of_shift[n, c] * over[n, c]
            to_over[n, c] = of_shift[n, c] * gates[n, channels + c]
        for c in range(channels):
            along = of_turn[n, 0, c] * mixed[n, 0, c] + of_turn[n, 1, c] * mixed[n, 1, c]
            to_gates[n, 2 * channels + c] = along + of_turn[n, 2, c] * mixed[n, 2, c]
        for axis in range(3):
            for c in range(channels):
                to_mixed[n, axis, c] = of_turn[n, axis, c] * gates[n, 2 * channels + c]
                to_mixed[n, axis, channels + c] = 0


@compiled
def second_of_combine(
    gates: Array,
    over: Array,
    mixed: Array,
    of_shift: Array,
    of_turn: Array,
    h_gates: Array,
    h_over: Array,
    h_mixed: Array,
    first: int,
    last: int,
    to_gates: Array,
    to_over: Array,
    to_mixed: Array,
    to_shift: Array,
    to_turn: Array,
) -> None:
    """Gradients of everything that the first derivatives are made of."""
    channels = over.shape[1]
    for n in range(first, last):
        for c in range(channels):
            k = channels + c
            ds = of_shift[n, c]
            to_shift[n, c] = h_gates[n, c] + h_gates[n, k] * over[n, c] + h_over[n, c] * gates[n, k]
            to_over[n, c] = h_gates[n, k] * ds
            to_gates[n, c] = 0
            to_gates[n, k] = h_over[n, c] * ds
        for c in range(channels):
            along = h_mixed[n, 0, c] * of_turn[n, 0, c] + h_mixed[n, 1, c] * of_turn[n, 1, c]
            to_gates[n, 2 * channels + c] = along + h_mixed[n, 2, c] * of_turn[n, 2, c]
        for axis in range(3):
            for c in range(channels):
                k = 2 * channels + c
                u, t = mixed[n, axis, c], of_turn[n, axis, c]
                to_turn[n, axis, c] = h_gates[n, k] * u + h_mixed[n, axis, c] * gates[n, k]
                to_mixed[n, axis, c] = h_gates[n, k] * t
                to_mixed[n, axis, channels + c] = 0

"""What PaiNN's update does between its matrix products, atom by atom, and its first derivatives.

Letters of arXiv:2102.03150, Fig. 2c: `mixed` holds U v and V v side by side, (N, 3, 2C); `gates`
its three a, (N, 3C). Every function works on the atoms [first, last); all arrays are contiguous.
"""

import numpy as np

from hydracalc.kernels.jit import compiled

Array = np.ndarray


@compiled
def measure(
    mixed: Array, floor: float, first: int, last: int, scalars: Array, inputs: Array, overlap: Array
) -> None:
    """Scalars and lengths of V v side by side, (N, 2C), and products of U v and V v, (N, C)."""
    channels = overlap.shape[1]
    for n in range(first, last):
        for c in range(channels):
            ux, uy, uz = mixed[n, 0, c], mixed[n, 1, c], mixed[n, 2, c]
            k = channels + c
            vx, vy, vz = mixed[n, 0, k], mixed[n, 1, k], mixed[n, 2, k]
            inputs[n, k] = np.sqrt(vx * vx + vy * vy + vz * vz + floor)
            overlap[n, c] = ux * vx + uy * vy + uz * vz
        for c in range(channels):
            inputs[n, c] = scalars[n, c]


@compiled
def add_update(
    mixed: Array,
    gates: Array,
    overlap: Array,
    first: int,
    last: int,
    scalars: Array,
    vectors: Array,
) -> None:
    """Add the update to scalars, (N, C), and vectors, (N, 3, C)."""
    channels = overlap.shape[1]
    for n in range(first, last):
        for c in range(channels):
            scalars[n, c] += gates[n, c] + gates[n, channels + c] * overlap[n, c]
        for axis in range(3):
            for c in range(channels):
                vectors[n, axis, c] += gates[n, 2 * channels + c] * mixed[n, axis, c]


@compiled
def slopes_of_gates(
    mixed: Array,
    overlap: Array,
    of_scalars: Array,
    of_vectors: Array,
    first: int,
    last: int,
    to_gates: Array,
) -> None:
    """Gradient of the gates, (N, 3C), from those of scalars and vectors."""
    channels = overlap.shape[1]
    for n in range(first, last):
        for c in range(channels):
            to_gates[n, c] = of_scalars[n, c]
            to_gates[n, channels + c] = of_scalars[n, c] * overlap[n, c]
        for c in range(channels):
            along = of_vectors[n, 0, c] * mixed[n, 0, c] + of_vectors[n, 1, c] * mixed[n, 1, c]
            to_gates[n, 2 * channels + c] = along + of_vectors[n, 2, c] * mixed[n, 2, c]


@compiled
def slopes_of_mixed(
    mixed: Array,
    gates: Array,
    inputs: Array,
    of_inputs: Array,
    of_vectors: Array,
    first: int,
    last: int,
    of_scalars: Array,
    to_mixed: Array,
) -> None:
    """Gradient of U v and V v, (N, 3, 2C); that of the scalars grows by what the gates saw."""
    channels = of_scalars.shape[1]
    for n in range(first, last):
        for axis in range(3):
            for c in range(channels):
                u, v = mixed[n, axis, c], mixed[n, axis, channels + c]
                product = of_scalars[n, c] * gates[n, channels + c]
                lengthened = of_inputs[n, channels + c] / inputs[n, channels + c]
                to_mixed[n, axis, c] = (
                    of_vectors[n, axis, c] * gates[n, 2 * channels + c] + product * v
                )
                to_mixed[n, axis, channels + c] = product * u + lengthened * v
        for c in range(channels):
            of_scalars[n, c] += of_inputs[n, c]

"""PaiNN's sum over neighbors and its first and second derivatives: one pass over the pairs each.

The formulas and letters are those of `models.messages`: p1 carries scalars, p2 directions ("steer")
and p3 vectors ("stretch"). Two atoms of a pair send each other a message through one filter, in
opposite directions. Every function works on the pairs [first, last) and adds to its results, so
that threads can share the work; rows of filters are set to zero by the function of each order that
comes first. All arrays are contiguous. Loops over channels are short on
purpose: one that writes to few arrays is vectorized.
"""

import numpy as np

from hydracalc.kernels.jit import compiled

Array = np.ndarray


@compiled
def add_messages(
    gates: Array,
    filters: Array,
    directions: Array,
    vectors: Array,
    senders: Array,
    receivers: Array,
    first: int,
    last: int,
    shift: Array,
    turn: Array,
) -> None:
    """Add the messages to `shift`, (N, C), and `turn`, (N, 3, C); `vectors` may have no rows."""
    channels = shift.shape[1]
    has_vectors = vectors.shape[0] > 0
    for e in range(first, last):
        for side in range(2):
            i, j = receivers[e], senders[e]
            x, y, z = directions[e, 0], directions[e, 1], directions[e, 2]
            if side == 1:
                i, j, x, y, z = j, i, -x, -y, -z
            for c in range(channels):
                shift[i, c] += gates[j, c] * filters[e, c]
            if has_vectors:
                for c in range(channels):
                    steer = gates[j, channels + c] * filters[e, channels + c]
                    stretch = gates[j, 2 * channels + c] * filters[e, 2 * channels + c]
                    turn[i, 0, c] += steer * x + stretch * vectors[j, 0, c]
                    turn[i, 1, c] += steer * y + stretch * vectors[j, 1, c]
                    turn[i, 2, c] += steer * z + stretch * vectors[j, 2, c]
            else:
                for c in range(channels):
                    steer = gates[j, channels + c] * filters[e, channels + c]
                    turn[i, 0, c] += steer * x
                    turn[i, 1, c] += steer * y
                    turn[i, 2, c] += steer * z


@compiled
def first_of_steer(
    gates: Array,
    filters: Array,
    directions: Array,
    senders: Array,
    receivers: Array,
    of_shift: Array,
    of_turn: Array,
    first: int,
    last: int,
    to_gates: Array,
    of_filters: Array,
    to_directions: Array,
) -> None:
    """First derivatives of what p1 and p2 carry."""
    channels = of_shift.shape[1]
    p, g = np.empty(channels, gates.dtype), np.empty(channels, gates.dtype)
    for e in range(first, last):
        of_filters[e] = 0
        for side in range(2):
            i, j = receivers[e], senders[e]
            x, y, z = directions[e, 0], directions[e, 1], directions[e, 2]
            if side == 1:
                i, j, x, y, z = j, i, -x, -y, -z
            for c in range(channels):
                of_filters[e, c] += of_shift[i, c] * gates[j, c]
                to_gates[j, c] += of_shift[i, c] * filters[e, c]
            for c in range(channels):
                p[c] = gates[j, channels + c] * filters[e, channels + c]
            along_x, along_y, along_z = x * 0, x * 0, x * 0
            for c in range(channels):
                tx, ty, tz = of_turn[i, 0, c], of_turn[i, 1, c], of_turn[i, 2, c]
                along_x += tx * p[c]
                along_y += ty * p[c]
                along_z += tz * p[c]
                g[c] = tx * x + ty * y + tz * z
            if side == 1:
                along_x, along_y, along_z = -along_x, -along_y, -along_z
            to_directions[e, 0] += along_x
            to_directions[e, 1] += along_y
            to_directions[e, 2] += along_z
            for c in range(channels):
                k = channels + c
                of_filters[e, k] += g[c] * gates[j, k]
                to_gates[j, k] += g[c] * filters[e, k]


@compiled
def first_of_stretch(
    gates: Array,
    filters: Array,
    vectors: Array,
    senders: Array,
    receivers: Array,
    of_turn: Array,
    first: int,
    last: int,
    to_gates: Array,
    of_filters: Array,
    to_vectors: Array,
) -> None:
    """First derivatives of what p3 carries."""
    channels = of_turn.shape[2]
    p, g = np.empty(channels, gates.dtype), np.empty(channels, gates.dtype)
    for e in range(first, last):
        for side in range(2):
            i, j = receivers[e], senders[e]
            if side == 1:
                i, j = j, i
            for c in range(channels):
                g[c] = of_turn[i, 0, c] * vectors[j, 0, c] + of_turn[i, 1, c] * vectors[j, 1, c]
                g[c] += of_turn[i, 2, c] * vectors[j, 2, c]
                p[c] = gates[j, 2 * channels + c] * filters[e, 2 * channels + c]
            for axis in range(3):
                for c in range(channels):
                    to_vectors[j, axis, c] += of_turn[i, axis, c] * p[c]
            for c in range(channels):
                k = 2 * channels + c
                of_filters[e, k] += g[c] * gates[j, k]
                to_gates[j, k] += g[c] * filters[e, k]


@compiled
def second_of_shift(
    gates: Array,
    filters: Array,
    senders: Array,
    receivers: Array,
    of_shift: Array,
    h_gates: Array,
    h_filters: Array,
    first: int,
    last: int,
    to_gates: Array,
    of_filters: Array,
    to_filters: Array,
    to_shift: Array,
) -> None:
    """Second derivatives of what p1 carries, and the first ones of the filters."""
    channels = of_shift.shape[1]
    for e in range(first, last):
        of_filters[e] = 0
        to_filters[e] = 0
        for side in range(2):
            i, j = receivers[e], senders[e]
            if side == 1:
                i, j = j, i
            for c in range(channels):
                to_shift[i, c] += h_gates[j, c] * filters[e, c] + h_filters[e, c] * gates[j, c]
                of_filters[e, c] += of_shift[i, c] * gates[j, c]
            for c in range(channels):
                to_filters[e, c] += of_shift[i, c] * h_gates[j, c]
                to_gates[j, c] += of_shift[i, c] * h_filters[e, c]


@compiled
def second_of_steer(
    gates: Array,
    filters: Array,
    directions: Array,
    senders: Array,
    receivers: Array,
    of_turn: Array,
    h_gates: Array,
    h_filters: Array,
    h_directions: Array,
    first: int,
    last: int,
    to_gates: Array,
    of_filters: Array,
    to_filters: Array,
    to_directions: Array,
    to_turn: Array,
) -> None:
    """Second derivatives of what p2 carries, and the first ones of the filters."""
    channels = of_turn.shape[2]
    p, q = np.empty(channels, gates.dtype), np.empty(channels, gates.dtype)
    g, r = np.empty(channels, gates.dtype), np.empty(channels, gates.dtype)
    for e in range(first, last):
        for side in range(2):
            i, j = receivers[e], senders[e]
            x, y, z = directions[e, 0], directions[e, 1], directions[e, 2]
            hx, hy, hz = h_directions[e, 0], h_directions[e, 1], h_directions[e, 2]
            if side == 1:
                i, j, x, y, z, hx, hy, hz = j, i, -x, -y, -z, -hx, -hy, -hz
            for c in range(channels):
                k = channels + c
                p[c] = gates[j, k] * filters[e, k]
                q[c] = h_gates[j, k] * filters[e, k] + h_filters[e, k] * gates[j, k]
            along_x, along_y, along_z = x * 0, x * 0, x * 0
            for c in range(channels):
                tx, ty, tz = of_turn[i, 0, c], of_turn[i, 1, c], of_turn[i, 2, c]
                g[c] = tx * x + ty * y + tz * z
                r[c] = tx * hx + ty * hy + tz * hz
                along_x += tx * q[c]
                along_y += ty * q[c]
                along_z += tz * q[c]
            if side == 1:
                along_x, along_y, along_z = -along_x, -along_y, -along_z
            to_directions[e, 0] += along_x
            to_directions[e, 1] += along_y
            to_directions[e, 2] += along_z
            for c in range(channels):
                to_turn[i, 0, c] += q[c] * x + p[c] * hx
                to_turn[i, 1, c] += q[c] * y + p[c] * hy
                to_turn[i, 2, c] += q[c] * z + p[c] * hz
            for c in range(channels):
                k = channels + c
                of_filters[e, k] += g[c] * gates[j, k]
                to_filters[e, k] += g[c] * h_gates[j, k] + r[c] * gates[j, k]
            for c in range(channels):
                to_gates[j, channels + c] += g[c] * h_filters[e, channels + c]
                to_gates[j, channels + c] += r[c] * filters[e, channels + c]


@compiled
def second_of_stretch(
    gates: Array,
    filters: Array,
    vectors: Array,
    senders: Array,
    receivers: Array,
    of_turn: Array,
    h_gates: Array,
    h_filters: Array,
    h_vectors: Array,
    first: int,
    last: int,
    to_gates: Array,
    of_filters: Array,
    to_filters: Array,
    to_vectors: Array,
    to_turn: Array,
) -> None:
    """Second derivatives of what p3 carries, and the first ones of the filters."""
    channels = of_turn.shape[2]
    p, q = np.empty(channels, gates.dtype), np.empty(channels, gates.dtype)
    g, r = np.empty(channels, gates.dtype), np.empty(channels, gates.dtype)
    for e in range(first, last):
        for side in range(2):
            i, j = receivers[e], senders[e]
            if side == 1:
                i, j = j, i
            for c in range(channels):
                k = 2 * channels + c
                p[c] = gates[j, k] * filters[e, k]
                q[c] = h_gates[j, k] * filters[e, k] + h_filters[e, k] * gates[j, k]
            for c in range(channels):
                tx, ty, tz = of_turn[i, 0, c], of_turn[i, 1, c], of_turn[i, 2, c]
                g[c] = tx * vectors[j, 0, c] + ty * vectors[j, 1, c] + tz * vectors[j, 2, c]
                r[c] = tx * h_vectors[j, 0, c] + ty * h_vectors[j, 1, c] + tz * h_vectors[j, 2, c]
            for axis in range(3):
                for c in range(channels):
                    to_turn[i, axis, c] += q[c] * vectors[j, axis, c] + p[c] * h_vectors[j, axis, c]
                for c in range(channels):
                    to_vectors[j, axis, c] += of_turn[i, axis, c] * q[c]
            for c in range(channels):
                k = 2 * channels + c
                of_filters[e, k] += g[c] * gates[j, k]
                to_filters[e, k] += g[c] * h_gates[j, k] + r[c] * gates[j, k]
            for c in range(channels):
                k = 2 * channels + c
                to_gates[j, k] += g[c] * h_filters[e, k] + r[c] * filters[e, k]

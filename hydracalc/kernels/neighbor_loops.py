"""Which edges of a list are near now."""

import numpy as np

from hydracalc.kernels.jit import compiled

Array = np.ndarray


@compiled
def keep_near(
    positions: Array,
    cell: Array,
    senders: Array,
    receivers: Array,
    shifts: Array,
    cutoff: float,
    chosen: Array,
    displacements: Array,
    one_way: Array,
) -> tuple[int, int]:
    """Number of edges nearer than the cutoff, and of those that stand for a pair.

    Places and vectors of the near edges come first in the results.

    Args:
        positions: Angstrom, (N, 3).
        cell: lattice vectors as rows, Angstrom, (3, 3).
        senders: the neighbor of each edge, (E,).
        receivers: the atom that each edge belongs to, (E,).
        shifts: whole lattice vectors added to the neighbor, float64, (E, 3).
        cutoff: Angstrom.
        chosen: places of the near edges, int64, (E,).
        displacements: from receiver to sender, Angstrom, (E, 3).
        one_way: which of the near edges stand for a pair, as `AtomicGraph.pairs`, int64, (E,).
    """
    count, num_pairs = 0, 0
    for e in range(len(senders)):
        i, j = receivers[e], senders[e]
        a, b, c = shifts[e, 0], shifts[e, 1], shifts[e, 2]
        x = positions[j, 0] - positions[i, 0] + a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
        y = positions[j, 1] - positions[i, 1] + a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
        z = positions[j, 2] - positions[i, 2] + a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
        if x * x + y * y + z * z < cutoff * cutoff:
            chosen[count] = e
            displacements[count, 0] = x
            displacements[count, 1] = y
            displacements[count, 2] = z
            if j > i or (j == i and a * 1e8 + b * 1e4 + c > 0):
                one_way[num_pairs] = count
                num_pairs += 1
            count += 1
    return count, num_pairs

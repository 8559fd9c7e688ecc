"""How close the atoms of many structures come."""

import numpy as np

from hydracalc.kernels.jit import compiled

Array = np.ndarray


@compiled
def closest_pairs(offsets: Array, positions: Array, radii: Array, wanted: Array) -> Array:
    """Smallest distance of two atoms over the sum of their radii, squared, for open structures.

    Args:
        offsets: where each structure starts, int64, (S + 1,).
        positions: Angstrom, (sum of N, 3).
        radii: of each atom, Angstrom, (sum of N,).
        wanted: which structures to look at, bool, (S,); the others get infinity.

    Returns:
        (S,); infinity for a single atom.
    """
    closest = np.full(len(offsets) - 1, np.inf)
    for s in range(len(offsets) - 1):
        if not wanted[s]:
            continue
        for i in range(offsets[s], offsets[s + 1]):
            for j in range(offsets[s], i):
                x = positions[i, 0] - positions[j, 0]
                y = positions[i, 1] - positions[j, 1]
                z = positions[i, 2] - positions[j, 2]
                reach = radii[i] + radii[j]
                ratio = (x * x + y * y + z * z) / (reach * reach)
                if ratio < closest[s]:
                    closest[s] = ratio
    return closest

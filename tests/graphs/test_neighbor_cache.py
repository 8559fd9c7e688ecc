"""Neighbor lists that are kept are those that would be found, and no more than have room."""

import math

import numpy as np
import pytest
from pairs import CUTOFF, STRUCTURES

from hydracalc.graphs.neighbor_cache import NeighborCache
from hydracalc.graphs.neighbors import neighbor_list
from hydracalc.structure import from_atoms


def geometry(atoms):
    structure = from_atoms(atoms)
    return structure.positions, structure.cell, structure.pbc


@pytest.mark.parametrize("max_bytes", [0, 5000, math.inf])
def test_lists_are_the_same_whether_kept_or_not(max_bytes):
    cache = NeighborCache(CUTOFF, max_bytes)
    for _ in range(2):
        for number, atoms in enumerate(STRUCTURES.values()):
            found, expected = (
                cache.edges(number, *geometry(atoms)),
                neighbor_list(*geometry(atoms), CUTOFF),
            )
            for name in ("senders", "receivers", "cell_shifts"):
                assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert cache.num_bytes <= max_bytes
    kept = {0: 0, math.inf: len(STRUCTURES)}.get(max_bytes)
    assert len(cache) == kept if kept is not None else 0 < len(cache) < len(STRUCTURES)


def test_a_kept_list_is_not_found_again():
    cache = NeighborCache(CUTOFF, math.inf)
    own = geometry(next(iter(STRUCTURES.values())))
    assert cache.edges(3, *own) is cache.edges(3, *own)
    assert cache.edges(4, *own) is not cache.edges(3, *own)

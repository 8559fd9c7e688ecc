"""Atoms that sit on top of each other: told before a model is asked about them."""

import warnings

import numpy as np
from ase.data import covalent_radii

from hydracalc import elements
from hydracalc.graphs.neighbors import Edges
from hydracalc.structure import AtomicStructure

# atoms nearer than this part of the sum of their covalent radii are hardly meant to be there
OVERLAP_FRACTION = 0.4


def check_overlap(structure: AtomicStructure, edges: Edges) -> None:
    """Warn where two atoms are much nearer than a bond.

    Raises:
        ValueError: two atoms are at the same place.
    """
    if not len(edges):
        return
    squares = np.square(edges.vectors(structure.positions, structure.cell)).sum(axis=1)
    radii = covalent_radii[structure.atomic_numbers]
    bonds = radii.take(edges.senders) + radii.take(edges.receivers)
    tightness = squares / bonds**2
    edge = int(np.argmin(tightness))
    if tightness[edge] >= OVERLAP_FRACTION**2:
        return
    pair = sorted((int(edges.receivers[edge]), int(edges.senders[edge])))
    names = [f"{elements.symbol(structure.atomic_numbers[atom])}{atom}" for atom in pair]
    distance = float(np.sqrt(squares[edge]))
    if distance == 0:
        raise ValueError(f"atoms {names[0]} and {names[1]} are at the same place")
    warnings.warn(
        f"atoms {names[0]} and {names[1]} are {distance:.2f} Angstrom apart, far below a bond "
        f"length; predictions are not to be trusted",
        stacklevel=2,
    )

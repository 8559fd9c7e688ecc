"""Do energies and their derivatives agree? A wrong unit shows in a slope that is not one."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hydracalc.checks.close_pairs import close_pairs
from hydracalc.structure import AtomicStructure


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A straight line through the origin.

    Attributes:
        slope: of the second quantity on the first; 1 where they are equal.
        correlation: 1 where all points are on one line.
        num_points: how many there are.
    """

    slope: float
    correlation: float
    num_points: int


def energy_against_work(
    structures: Iterable[AtomicStructure], *, max_displacement: float
) -> Regression:
    """Regress energy differences on the work that forces and stress do between neighbors.

    The slope is 1 where energy, forces, stress and positions are of one level of theory in matching
    units and signs. All pairs count by the square of their work; `close_pairs.regress` tells parts
    of the work apart and forgives single wrong pairs.

    Args:
        structures: labelled, several to a group; each is compared with its nearest in the group.
        max_displacement: Angstrom; pairs in which an atom moves further are left out.

    Raises:
        ValueError: fewer than two pairs are that close, or a structure has no energy or no forces.
    """
    groups: dict[str, list[AtomicStructure]] = defaultdict(list)
    for structure in structures:
        for label in ("energy", "forces"):
            if getattr(structure, label) is None:
                raise ValueError(f"structure {structure.source or '(unnamed)'} has no {label}")
        groups[structure.group].append(structure)
    pairs = [close_pairs(group, farthest=max_displacement) for group in groups.values()]
    work = np.concatenate([np.empty(0), *(found.works.sum(axis=1) for found in pairs)])
    difference = np.concatenate([np.empty(0), *(found.differences for found in pairs)])
    if len(work) < 2:
        raise ValueError(
            f"{len(work)} pairs are closer than {max_displacement} A, at least 2 needed"
        )
    return Regression(
        slope=float(work @ difference / (work @ work)),
        correlation=float(np.corrcoef(work, difference)[0, 1]),
        num_points=len(work),
    )

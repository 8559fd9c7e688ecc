"""Groups that hold nearly the same structures, found so that they are put on one side of a split.

Materials under two identifiers, or one molecule along two reaction paths: their groups have other
names, but a test structure in one of them has a near copy that trains in the other.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from hydracalc.elements import reduced_formula
from hydracalc.ingest.radial_profile import atom_profiles, disturbed, mean_profile
from hydracalc.structure import AtomicStructure


@dataclass
class Family:
    """Structures of one composition in lowest terms, all periodic or all open.

    Attributes:
        groups: hash of the group of each.
        profiles: of `mean_profile`.
        tolerances: how far the profile of each goes when its atoms are disturbed.
    """

    groups: list[int] = field(default_factory=list)
    profiles: list[np.ndarray] = field(default_factory=list)
    tolerances: list[float] = field(default_factory=list)


def join_groups(
    structures: Iterable[tuple[AtomicStructure, int]], *, rattle: float, seed: int
) -> dict[int, int]:
    """Groups of which a structure differs from one of another group by no more than a rattle.

    Profiles are compared that a rotation, another order of atoms or a supercell do not change.
    They are blind to angles, so that groups may be joined that need not be; never the reverse.

    Args:
        structures: with the hash of each one's group; about 1 kB of each is remembered.
        rattle: standard deviation of the displacements that make no difference, Angstrom.
        seed: of the displacements that calibrate the tolerance.

    Returns:
        For every group that is joined with others, the smallest hash among them.

    Raises:
        ValueError: the rattle is not positive.
    """
    if not rattle > 0:
        raise ValueError(f"rattle is {rattle}, expected a length above 0 Angstrom")
    families: dict[tuple[bool, str], Family] = defaultdict(Family)
    for structure, group in structures:
        key = (bool(structure.pbc.any()), reduced_formula(structure.atomic_numbers))
        profile = _profile(structure)
        family = families[key]
        family.groups.append(group)
        family.profiles.append(profile)
        family.tolerances.append(_tolerance(structure, profile, rattle, seed))
    leaders: dict[int, int] = {}
    for family in families.values():
        for first, second in _near(family):
            one, other = _leader(leaders, first), _leader(leaders, second)
            if one != other:
                leaders[max(one, other)] = min(one, other)
    return {group: _leader(leaders, group) for group in leaders}


def _profile(structure: AtomicStructure) -> np.ndarray:
    return mean_profile(atom_profiles(structure), structure.atomic_numbers)


def _tolerance(structure: AtomicStructure, profile: np.ndarray, rattle: float, seed: int) -> float:
    """How far a profile moves when atoms and cell are disturbed once."""
    positions, cell = disturbed(structure, rattle, np.random.default_rng(seed))
    moved = AtomicStructure(
        atomic_numbers=structure.atomic_numbers, positions=positions, cell=cell, pbc=structure.pbc
    )
    return float(np.linalg.norm(_profile(moved) - profile))


def _near(family: Family) -> Iterable[tuple[int, int]]:
    """Pairs of different groups with near structures."""
    groups = np.array(family.groups, dtype=np.uint64)
    if (groups == groups[0]).all():
        return
    tree, tolerances = cKDTree(np.stack(family.profiles)), np.array(family.tolerances)
    for index, places in enumerate(tree.query_ball_point(tree.data, tolerances)):
        for other in np.unique(groups[places]):
            if other != groups[index]:
                yield int(groups[index]), int(other)


def _leader(leaders: dict[int, int], group: int) -> int:
    """The smallest hash of the groups joined with one."""
    while group in leaders:
        group = leaders[group]
    return group

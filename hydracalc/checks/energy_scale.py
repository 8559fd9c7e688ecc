"""Are published energies those of whole structures, or divided by the number of atoms?

Their derivative knows. Between close arrangements of the same atoms the energy of the whole
changes by the work of forces and stress, an energy per atom by 1/N of it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from hydracalc.checks.physics import Regression, energy_against_work
from hydracalc.structure import AtomicStructure

Scale = Literal["total", "per atom"]
SCALES: tuple[Scale, ...] = get_args(Scale)

_MOST_FACTOR = 2.0  # between energies and work, for the right scale; the wrong one is further off
_LEAST_CORRELATION = 0.7


def energy_scale(structures: Sequence[AtomicStructure], *, max_displacement: float) -> Scale:
    """Which of the two agrees with forces and stress.

    Args:
        structures: labelled, several to a group, with energies as they are published.
        max_displacement: Angstrom; pairs in which an atom moves further are left out.

    Raises:
        ValueError: there are too few close pairs, or they do not decide; the message has numbers.
    """
    as_total = energy_against_work(structures, max_displacement=max_displacement)
    totals = [total_energy_of(structure) for structure in structures]
    as_per_atom = energy_against_work(totals, max_displacement=max_displacement)
    fits = [_fits(as_total), _fits(as_per_atom)]
    if sum(fits) != 1:
        raise ValueError(
            "whether energies are totals or per atom does not follow from forces and stress: slope "
            f"{as_total.slope:.3g} (correlation {as_total.correlation:.3g}) as totals, "
            f"{as_per_atom.slope:.3g} ({as_per_atom.correlation:.3g}) as energies per atom, "
            f"{as_total.num_points} pairs"
        )
    return SCALES[fits.index(True)]


def total_energy_of(structure: AtomicStructure) -> AtomicStructure:
    """A structure whose energy is one per atom, with its total energy."""
    energy = None if structure.energy is None else structure.energy * structure.num_atoms
    return replace(structure, energy=energy)


def _fits(result: Regression) -> bool:
    is_near = result.slope > 0 and abs(math.log(result.slope)) < math.log(_MOST_FACTOR)
    return is_near and result.correlation > _LEAST_CORRELATION

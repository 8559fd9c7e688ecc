"""Two atoms from collision to far apart: whether they repel, and whether the curve is smooth."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator

from hydracalc.exam.bench import Bench
from hydracalc.exam.collision import examine_approach
from hydracalc.exam.findings import Findings
from hydracalc.exam.pairs import Pair, surprises_allowed
from hydracalc.exam.paths import examine_parting
from hydracalc.exam.precision import measure_precision
from hydracalc.exam.structures import Case
from hydracalc.exam.subject import Subject

ELEMENTS = ("H", "C", "N", "O", "Si", "Cu")
_FLAT = 1e-3  # eV; smaller ups and downs of a curve are none


@dataclass(frozen=True, kw_only=True)
class PairCurve:
    """One pair of elements.

    Attributes:
        pair: both symbols.
        branch: who answered.
        is_smooth: no jump of energy or forces from 0.6 of the sum of covalent radii to 12 Angstrom.
        is_repulsive: below half that sum the atoms push each other apart, the more the nearer.
        turns: changes between falling and rising energy along the curve; 1 is a single minimum.
        depth_eV: of the lowest point, beyond the atoms far apart.
        remarks: what failed, with its place.
    """

    pair: str
    branch: str
    is_smooth: bool
    is_repulsive: bool
    turns: int
    depth_eV: float  # noqa: N815
    remarks: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text."""
        return asdict(self)


def all_pairs(elements: Sequence[str] = ELEMENTS) -> list[Pair]:
    """Every pair of the elements, with itself too."""
    return [Pair(*pair) for pair in combinations_with_replacement(elements, 2)]


def measure_pair(calculator: Calculator, pair: Pair, *, branch: str) -> PairCurve:
    """The exam's collision and parting of two atoms.

    Args:
        calculator: with energy and forces.
        pair: of elements.
        branch: what the calculator is, in words.
    """
    atoms = pair.at(pair.bond)
    subject = Subject(calculator)
    smooth, repulsive = Findings(), Findings()
    with surprises_allowed():
        bench = Bench(
            subject=subject,
            precision=measure_precision(subject, atoms),
            cases=(Case(name=pair.name, atoms=atoms),),
        )
        examine_parting(bench, pair, smooth)
        examine_approach(bench, pair, repulsive)
    (curve,) = smooth.curves
    failed = [m for f in (smooth, repulsive) for m in f.worst.values() if not m.passes]
    return PairCurve(
        pair=pair.name,
        branch=branch,
        is_smooth=all(m.passes for m in smooth.worst.values()),
        is_repulsive=all(m.passes for m in repulsive.worst.values()),
        turns=_turns(np.array(curve.y)),
        depth_eV=float(min(curve.y)),
        remarks=[f"{m.quantity} {m.value:.3g} {m.unit}, {m.where}" for m in failed],
    )


def _turns(energies: np.ndarray) -> int:
    """How often a curve turns round, ups and downs below `_FLAT` left aside."""
    turns, direction, extreme = 0, 0, float(energies[0])
    for energy in energies[1:]:
        step = float(energy) - extreme
        if direction * step > 0:
            extreme = float(energy)
        elif abs(step) > _FLAT:
            turns += direction != 0
            direction, extreme = int(np.sign(step)), float(energy)
    return turns

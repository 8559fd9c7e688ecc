"""Do labels obey physics? What structures alone tell of units, signs and orders that a card states.

No number here belongs to a dataset: expected values are those of all molecules and crystals.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hydracalc.card import Card
from hydracalc.checks.binding import binding_ratios, cohesive_energies
from hydracalc.checks.bond_scales import hydrogen_stretch, scaled_distances
from hydracalc.checks.close_pairs import PARTS, Coefficient, close_pairs, regress
from hydracalc.checks.force_law import StressFromForces, stress_from_forces
from hydracalc.elements import reduced_formula
from hydracalc.structure import AtomicStructure

Verdict = Literal["passed", "failed", "not applicable"]

_SIGMAS = 3.0
_SYSTEMATIC = 0.03  # of a coefficient: steps are not infinitely small
_BIASED = 0.35  # of the largest bias; errors of pairs are mostly in no common sense
_DECISIVE = 0.7  # a coefficient that is not known to this says nothing by being near 1
_DISTANCES = (0.72, 1.40)  # median nearest distance over covalent radii; Bohr read wrong is 1.9
_STRETCHES = (0.78, 1.25)  # force constants over known ones; the nearest other unit is 1.36
_RESPONSIVE = 0.85  # correlation of force and length above which bonds are really stretched
_BOUND = {"formation": (0.65, 1.5), "atomization": (0.65, 1.5), "total": (-0.5, 2.5)}
_COHESION = (-14.0, -0.7)  # eV an atom, median
_FORMATION = (0.02, 5.0)  # eV an atom, median size for crystals
_REACTION = (0.02, 30.0)  # eV, median size of adsorption and interaction energies
_ALIGNED = 0.3  # mean cosine above which the fitted pair force says something of the stress
_LAW_RATIO = (0.1, 30.0)  # labelled over predicted; between GPa and eV/A^3 there is 160
_VARIOUS = 8  # compositions from whose forces that of a pair of atoms follows
_FEW = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        verdict: failed means that a unit, sign or order of the card is wrong.
        measured: value with unit, empty where nothing could be measured.
        expected: what it should be.
        reason: why it could not be decided, where it is not applicable.
    """

    name: str
    verdict: Verdict
    measured: str = ""
    expected: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelReport:
    """All findings on the labels of some structures."""

    num_structures: int
    findings: tuple[Finding, ...]

    def by_verdict(self, verdict: Verdict) -> list[Finding]:
        """Findings of one kind."""
        return [finding for finding in self.findings if finding.verdict == verdict]

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return not self.by_verdict("failed")


def check_labels(structures: Iterable[AtomicStructure], card: Card) -> LabelReport:
    """Hold labels against physics.

    Args:
        structures: as an adapter reads them, in hydracalc units; some hundred are enough, and
            close neighbors among them (steps of a trajectory, displaced copies) tell most.
        card: what is stated about them.

    Raises:
        ValueError: there is no structure.
    """
    structures = list(structures)
    found = tuple(findings(structures, card))
    return LabelReport(num_structures=len(structures), findings=found)


def findings(structures: Sequence[AtomicStructure], card: Card) -> Iterator[Finding]:
    """The findings of `check_labels` one after another, the most telling first.

    Raises:
        ValueError: there is no structure.
    """
    if not structures:
        raise ValueError("labels are checked on structures, got none")
    checks: tuple[Callable[[Sequence[AtomicStructure], Card], list[Finding]], ...] = (
        _work,
        _energies,
        _distances,
        _stretches,
        _stress,
        _balance,
        _extensivity,
    )
    for check in checks:
        yield from check(structures, card)


def _skipped(name: str, reason: str, measured: str = "") -> Finding:
    return Finding(name=name, verdict="not applicable", measured=measured, reason=reason)


def _judged(name: str, *, holds: bool, measured: str, expected: str) -> Finding:
    verdict: Verdict = "passed" if holds else "failed"
    return Finding(name=name, verdict=verdict, measured=measured, expected=expected)


def _distances(structures: Sequence[AtomicStructure], card: Card) -> list[Finding]:
    """The unit of lengths, from what is known of all bonds."""
    name = "distances"
    scaled = scaled_distances(structures)
    if len(scaled) < _FEW:
        return [_skipped(name, f"{len(scaled)} atoms have neighbors, at least {_FEW} needed")]
    median, (low, high) = float(np.median(scaled)), _DISTANCES
    return [
        _judged(
            name,
            holds=low < median < high,
            measured=f"{median:.2f} of the sum of covalent radii",
            expected=f"{low} to {high}, median of the nearest neighbors of all atoms",
        )
    ]


def _work(structures: Sequence[AtomicStructure], card: Card) -> list[Finding]:
    """Forces and stress as derivatives of the energy."""
    pairs = close_pairs(structures)
    coefficients = regress(pairs)
    labelled = {PARTS[0]: any(s.forces is not None for s in structures)}
    labelled |= dict.fromkeys(PARTS[1:], any(s.stress is not None for s in structures))
    found = []
    for part in PARTS:
        name = f"{part} against energy"
        if not labelled[part]:
            found.append(_skipped(name, f"no {part.rpartition(' ')[2]} labels"))
        elif part not in coefficients:
            cells = "" if part == PARTS[0] else " with such strains between their cells"
            found.append(_skipped(name, f"{len(pairs)} close pairs{cells}, too few"))
        else:
            found.append(_slope(name, coefficients[part], len(pairs)))
    return found


def _slope(name: str, coefficient: Coefficient, num_pairs: int) -> Finding:
    tolerance = _SYSTEMATIC + _SIGMAS * coefficient.uncertainty + _BIASED * coefficient.bias
    measured = (
        f"{coefficient.value:.3f} +- {coefficient.uncertainty:.3f} in {coefficient.num_pairs} pairs"
    )
    holds = abs(coefficient.value - 1) < tolerance
    if coefficient.num_pairs < min(_FEW, num_pairs):
        return _skipped(name, "no part of the work that counts in most pairs", measured)
    if holds and tolerance > _DECISIVE:
        return _skipped(name, "too uncertain to tell", measured)
    return _judged(
        name, holds=holds, measured=measured, expected=f"1 within {tolerance:.3f}, dE over work"
    )


def _stretches(structures: Sequence[AtomicStructure], card: Card) -> list[Finding]:
    """The absolute scale of forces in molecules."""
    name = "bonds to hydrogen"
    if not any(s.forces is not None for s in structures):
        return [_skipped(name, "no forces labels")]
    stretch = hydrogen_stretch(structures)
    if stretch is None:
        return [_skipped(name, "too few intact C-H, N-H or O-H bonds")]
    measured = f"{stretch.ratio:.2f} +- {stretch.uncertainty:.2f} in {stretch.num_bonds} bonds"
    if abs(stretch.correlation) < _RESPONSIVE:
        reason = "bonds are hardly stretched: their forces do not follow their lengths"
        return [_skipped(name, reason, measured)]
    (low, high), doubt = _STRETCHES, 2 * stretch.uncertainty
    return [
        _judged(
            name,
            holds=low - doubt < stretch.ratio < high + doubt,
            measured=measured,
            expected=f"{low} to {high} of the known force constants",
        )
    ]


def _balance(structures: Sequence[AtomicStructure], card: Card) -> list[Finding]:
    """Forces and torques that atoms exert on each other add up to nothing."""
    nets, torques = [], []
    for structure in structures:
        forces = structure.forces
        if forces is None or structure.num_atoms < 2 or not forces.any(axis=1).all():
            continue
        nets.append(_cancelled(forces))
        if not structure.pbc.any() and structure.num_atoms > 2:
            arms = structure.positions - structure.positions.mean(axis=0)
            torques.append(_cancelled(np.cross(arms, forces)))
    found = []
    for name, values in (("net force", nets), ("net torque", torques)):
        if len(values) < _FEW:
            reason = f"{len(values)} structures have forces on every atom, {_FEW} needed"
            if name == "net torque":
                reason = f"{len(values)} open {reason}"
            found.append(_skipped(name, reason))
            continue
        median = float(np.median(values))
        found.append(
            _judged(
                name,
                holds=median < 0.3,
                measured=f"{median:.4f} of a random sum, median",
                expected="below 0.3",
            )
        )
    return found


def _cancelled(vectors: np.ndarray) -> float:
    """Length of a sum of vectors over what it would be were they in random directions."""
    size = float(np.sqrt((vectors**2).sum()))
    return float(np.linalg.norm(vectors.sum(axis=0))) / size if size else 0.0


def _energies(structures: Sequence[AtomicStructure], card: Card) -> list[Finding]:
    """The absolute scale of energies."""
    name = "energy scale"
    labelled = [s for s in structures if s.energy is not None]
    if not labelled:
        return [_skipped(name, "no energy labels")]
    if card.computed_by is not None:
        return [_skipped(name, "labels are not at the card's level of theory, but computed")]
    if card.energy_kind in ("adsorption", "interaction"):
        median = float(np.median([abs(s.energy or 0.0) for s in labelled]))
        return [
            _within(name, median, _REACTION, "eV, median size of differences between structures")
        ]
    ratios = binding_ratios(labelled, card)
    if len(ratios):
        window = _BOUND.get(card.energy_kind, _BOUND["total"])
        return [_within(name, float(np.median(ratios)), window, "of the binding of such molecules")]
    return [_cohesion(name, cohesive_energies(labelled, card), card)]


def _cohesion(name: str, energies: np.ndarray, card: Card) -> Finding:
    """Energies of crystals by PAW programs are relative to atoms; others have no common scale."""
    if not len(energies):
        return _skipped(name, "no energies of isolated atoms, which these structures would need")
    if card.energy_kind == "formation":
        return _within(name, float(np.median(np.abs(energies))), _FORMATION, "eV an atom")
    if "VASP" not in card.theory and not card.isolated_atoms:
        return _skipped(name, "total energies of a program whose zero of energy is not known")
    return _within(name, float(np.median(energies)), _COHESION, "eV an atom, relative to atoms")


def _within(name: str, value: float, window: tuple[float, float], unit: str) -> Finding:
    low, high = window
    return _judged(
        name,
        holds=low < value < high,
        measured=f"{value:.3g} {unit}",
        expected=f"{low} to {high}",
    )


def _extensivity(structures: Sequence[AtomicStructure], card: Card) -> list[Finding]:
    """Twice the atoms of one composition have twice the energy, unless it is one per atom."""
    name = "energy grows with size"
    if card.energy_kind in ("adsorption", "interaction"):
        return [_skipped(name, f"{card.energy_kind} energies do not")]
    families: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for structure in structures:
        if structure.energy is not None:
            family = families[reduced_formula(structure.atomic_numbers)]
            family[structure.num_atoms].append(abs(structure.energy))
    exponents = []
    for sizes in families.values():
        small, large = min(sizes, default=1), max(sizes, default=1)
        if large >= 2 * small:
            ratio = np.median(sizes[large]) / max(np.median(sizes[small]), np.finfo(float).tiny)
            exponents.append(np.log(max(ratio, np.finfo(float).tiny)) / np.log(large / small))
    if len(exponents) < 3:
        return [_skipped(name, f"{len(exponents)} compositions in two sizes, 3 needed")]
    return [_within(name, float(np.median(exponents)), (0.5, 1.6), "power of the number of atoms")]


def _stress(structures: Sequence[AtomicStructure], card: Card) -> list[Finding]:
    """Stress against what a pair force fitted to the forces predicts."""
    names = ("symmetry of stress", "stress against forces", "shear stress against forces")
    stresses = [s.stress for s in structures if s.stress is not None]
    if not stresses:
        return [_skipped(name, "no stress labels") for name in names]
    skew = max(float(np.abs(s - s.T).max() / (np.abs(s).max() or 1.0)) for s in stresses)
    symmetry = _within(names[0], skew, (-1.0, 0.05), "of its largest component is antisymmetric")
    law = stress_from_forces(structures)
    if law is None or law.num_compositions < _VARIOUS:
        reason = "too few different crystals with forces and a stress that is not a mere pressure"
        return [symmetry, *(_skipped(name, reason) for name in names[1:])]
    return [symmetry, _direction(names[1], law), _order(names[2], law)]


def _direction(name: str, law: StressFromForces) -> Finding:
    """Sign and, to an order of magnitude, unit of the stress."""
    measured = f"alignment {law.alignment:.2f} +- {law.uncertainty:.2f}, ratio {law.ratio:.3g}"
    if abs(law.alignment) < max(_ALIGNED, _SIGMAS * law.uncertainty):
        return _skipped(name, "a force between pairs does not explain it", measured)
    low, high = _LAW_RATIO
    return _judged(
        name,
        holds=law.alignment > 0 and low < law.ratio < high,
        measured=measured,
        expected=f"alignment positive, ratio {low} to {high}",
    )


def _order(name: str, law: StressFromForces) -> Finding:
    """Whether the components of shear fit as they are, or turned round."""
    stated, *turned = law.shear_alignments
    measured = f"alignment {stated:.2f} +- {law.uncertainty:.2f}, in other orders {max(turned):.2f}"
    lead, doubt = stated - max(turned), _SIGMAS * law.uncertainty
    if max(map(abs, law.shear_alignments)) < max(_ALIGNED, doubt) or abs(lead) < doubt:
        return _skipped(name, "no order of the components is clearly best", measured)
    return _judged(name, holds=lead > 0, measured=measured, expected="the stated order is the best")

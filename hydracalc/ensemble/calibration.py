"""Intervals that hold what they promise: spreads turned into errors by held-out labels.

Two steps, on structures that do not overlap. Isotonic regression finds the error to expect at a
spread [Zadrozny, Elkan 2002, doi:10.1145/775047.775151]. Split conformal prediction with scores
|error| / expected error finds how many expected errors an interval is wide so that it holds the
stated share [Lei et al. 2018, arXiv:1604.04173, section 5.2]. A single model has no spread of
forces: there the error to expect is that of the atom's element.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydracalc import elements
from hydracalc.ensemble.scores import Scores

LEVELS = (0.5, 0.8, 0.9, 0.95)
LEAST_STRUCTURES = 20  # in each of the two steps; with fewer a 95 % interval has no meaning
_MOST_KNOTS = 64


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Error to expect at a spread: straight lines between knots; beyond the last, in proportion.

    Attributes:
        spreads: ascending.
        errors: not descending, above 0.
    """

    spreads: tuple[float, ...]
    errors: tuple[float, ...]

    def __call__(self, spreads: np.ndarray) -> np.ndarray:
        """Expected errors of spreads, in the unit of the errors."""
        inside = np.interp(spreads, self.spreads, self.errors)
        last = self.spreads[-1]
        return inside * np.maximum(spreads / last, 1.0) if last > 0 else inside


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Half widths of intervals around a prediction.

    Attributes:
        scale: error to expect at a spread.
        factors: half width in expected errors, by level.
    """

    scale: Scale
    factors: Mapping[float, float]

    def half_widths(self, spreads: np.ndarray) -> dict[float, np.ndarray]:
        """Half width at every spread, by level."""
        expected = self.scale(spreads)
        return {level: factor * expected for level, factor in self.factors.items()}


@dataclass(frozen=True, kw_only=True)
class BranchCalibration:
    """Intervals and the calibrated range of one branch, or one mixture.

    Attributes:
        energy: of energies per atom, eV/atom.
        energy_by: whose spread of energies it starts from: "members", "branches", or "nothing"
            where there is none and all intervals are equally wide.
        component: of each component of a force, eV/Angstrom; None where no label had forces.
        force: of the length of an atom's force error, eV/Angstrom.
        by_element: spread that stands for each element where there is no ensemble; empty: there is.
        energy_range: largest spread of energies that was calibrated with, eV/atom.
        force_range: largest spread of forces by element, eV/Angstrom; elements not in it were not
            calibrated with.
        num_structures: that it was made with.
    """

    energy: Interval
    energy_by: str
    component: Interval | None
    force: Interval | None
    by_element: Mapping[int, float]
    energy_range: float
    force_range: Mapping[int, float]
    num_structures: int

    def force_spreads(self, atomic_numbers: np.ndarray, spreads: np.ndarray) -> np.ndarray:
        """The members' spreads of atoms, or what stands for them, eV/Angstrom, (N,)."""
        if not self.by_element:
            return spreads
        return _of_elements(self.by_element, atomic_numbers)

    def energy_spreads(self, spreads: np.ndarray) -> np.ndarray:
        """Spreads of energies, or ones where intervals are equally wide."""
        return np.ones(len(spreads)) if self.energy_by == "nothing" else spreads


def key_of(branch: str | Mapping[str, float]) -> str:
    """What calibrations of a branch, "auto" or a mixture are stored under."""
    return branch if isinstance(branch, str) else json.dumps(dict(branch), sort_keys=True)


def calibrate(scores: Scores, *, seed: int = 0) -> BranchCalibration:
    """Fit expected errors on one half of the structures, widths of intervals on the other.

    Args:
        scores: of held-out structures that the members were not trained on.
        seed: of the halves.

    Raises:
        ValueError: there are too few structures.
    """
    if scores.num_structures < 2 * LEAST_STRUCTURES:
        raise ValueError(
            f"{scores.num_structures} structures to calibrate with, expected at least "
            f"{2 * LEAST_STRUCTURES}"
        )
    first, second = (scores.of(each) for each in halves(scores.num_structures, seed))
    by_element = {} if scores.is_ensemble else _residuals(first)
    energy_by = _energy_by(scores)
    energies = [
        (
            np.ones(each.num_structures) if energy_by == "nothing" else each.energy_spread,
            np.abs(each.energy_error),
        )
        for each in (first, second)
    ]
    component, force = _force_intervals(first, second, by_element)
    return BranchCalibration(
        energy=_interval(*energies),
        energy_by=energy_by,
        component=component,
        force=force,
        by_element=by_element,
        energy_range=float(np.nan_to_num(scores.energy_spread).max()),
        force_range={
            int(z): float(np.nan_to_num(scores.force_spread[scores.atomic_numbers == z]).max())
            for z in np.unique(scores.atomic_numbers)
        },
        num_structures=scores.num_structures,
    )


def halves(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Structures in two halves by chance, ascending indices; all atoms of one are in one half."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])


def conformal_factor(scores: np.ndarray, level: float) -> float:
    """The score that a new one stays below with this probability [arXiv:1604.04173, section 2.2].

    Args:
        scores: of n held-out labels.
        level: between 0 and 1; where n is too small for it, the largest score is taken.
    """
    rank = min(math.ceil((len(scores) + 1) * level), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


def _of_elements(values: Mapping[int, float], atomic_numbers: np.ndarray) -> np.ndarray:
    """What stands for the spread of each atom; of an element that was not seen, the worst."""
    worst = max(values.values())
    return np.array([values.get(int(z), worst) for z in atomic_numbers])


def _energy_by(scores: Scores) -> str:
    if not np.isfinite(scores.energy_spread).all():
        return "nothing"
    return "members" if scores.is_ensemble else "branches"


def _residuals(scores: Scores) -> dict[int, float]:
    """Mean length of the force error of each element, eV/Angstrom."""
    numbers, errors, _ = scores.labelled_forces()
    lengths = np.linalg.norm(errors, axis=1)
    return {int(z): float(lengths[numbers == z].mean()) for z in np.unique(numbers)}


def _force_intervals(
    first: Scores, second: Scores, by_element: Mapping[int, float]
) -> tuple[Interval | None, Interval | None]:
    """Of components and of lengths; None where a half has no force labels."""
    labelled = [each.labelled_forces() for each in (first, second)]
    if not all(len(errors) for _, errors, _ in labelled):
        return None, None
    errors = [each[1] for each in labelled]
    spreads = [
        _of_elements(by_element, numbers) if by_element else spread
        for numbers, _, spread in labelled
    ]
    components = [
        (np.repeat(spread, 3), np.abs(error).ravel())
        for spread, error in zip(spreads, errors, strict=True)
    ]
    lengths = [
        (spread, np.linalg.norm(error, axis=1))
        for spread, error in zip(spreads, errors, strict=True)
    ]
    return _interval(*components), _interval(*lengths)


def _interval(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> Interval:
    """Expected errors of the first (spreads, errors), factors of the second."""
    scale = _isotonic(*first)
    ratios = second[1] / scale(second[0])
    return Interval(scale=scale, factors={q: conformal_factor(ratios, q) for q in LEVELS})


def _isotonic(spreads: np.ndarray, errors: np.ndarray) -> Scale:
    """Mean error as a function of the spread that never falls, at a few knots.

    Raises:
        ValueError: scikit-learn is not installed.
    """
    try:
        from sklearn.isotonic import IsotonicRegression
    except ModuleNotFoundError as error:
        raise ValueError(
            f"calibration needs {error.name}: pip install 'hydracalc[calibration]'"
        ) from None
    # bins of equal counts: one atom at either end would make an end of its own
    order = np.argsort(spreads, kind="stable")
    count = int(np.clip(len(spreads) // 10, 1, _MOST_KNOTS))
    bins = np.array_split(order, count)
    x = np.array([spreads[each].mean() for each in bins])
    y = np.array([errors[each].mean() for each in bins])
    weights = [len(each) for each in bins]
    fitted = IsotonicRegression().fit_transform(x, y, sample_weight=weights)
    x, places = np.unique(x, return_index=True)
    fitted = np.maximum(fitted[places], np.finfo(float).tiny + 1e-6 * errors.mean())
    return Scale(spreads=tuple(map(float, x)), errors=tuple(map(float, fitted)))


def to_json(calibration: BranchCalibration) -> dict[str, Any]:
    """The calibration as plain numbers and text; elements by symbol."""
    return {
        "energy": _interval_to_json(calibration.energy),
        "energy_by": calibration.energy_by,
        "component": calibration.component and _interval_to_json(calibration.component),
        "force": calibration.force and _interval_to_json(calibration.force),
        "by_element_eV_per_A": _by_symbol(calibration.by_element),
        "energy_range_eV_per_atom": calibration.energy_range,
        "force_range_eV_per_A": _by_symbol(calibration.force_range),
        "num_structures": calibration.num_structures,
    }


def from_json(content: Mapping[str, Any]) -> BranchCalibration:
    """The calibration that `to_json` wrote."""
    return BranchCalibration(
        energy=_interval_from_json(content["energy"]),
        energy_by=str(content["energy_by"]),
        component=content["component"] and _interval_from_json(content["component"]),
        force=content["force"] and _interval_from_json(content["force"]),
        by_element=_by_number(content["by_element_eV_per_A"]),
        energy_range=float(content["energy_range_eV_per_atom"]),
        force_range=_by_number(content["force_range_eV_per_A"]),
        num_structures=int(content["num_structures"]),
    )


def _interval_to_json(interval: Interval) -> dict[str, Any]:
    return {
        "spreads": list(interval.scale.spreads),
        "errors": list(interval.scale.errors),
        "factors": {f"{level:g}": factor for level, factor in interval.factors.items()},
    }


def _interval_from_json(content: Mapping[str, Any]) -> Interval:
    scale = Scale(spreads=tuple(content["spreads"]), errors=tuple(content["errors"]))
    factors = {float(level): float(factor) for level, factor in content["factors"].items()}
    return Interval(scale=scale, factors=factors)


def _by_symbol(values: Mapping[int, float]) -> dict[str, float]:
    return {elements.symbol(z): value for z, value in values.items()}


def _by_number(values: Mapping[str, float]) -> dict[int, float]:
    return {elements.number(s): float(value) for s, value in values.items()}

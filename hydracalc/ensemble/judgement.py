"""What a calculator says of its own prediction: spread, intervals, a warning where it is lost."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydracalc import elements
from hydracalc.ensemble.calibration import BranchCalibration, key_of
from hydracalc.ensemble.prediction import EnsemblePrediction
from hydracalc.predictor import StructurePrediction
from hydracalc.structure import AtomicStructure

_SHOWN = 8  # atoms that a warning names


class OutsideCalibration(UserWarning):
    """Atoms have left the range that uncertainties were calibrated in."""


class Judge:
    """Turns spreads into what users are told; warns once of each structure.

    Args:
        calibrations: by `key_of` a branch or a mixture.
        branch: who answers, as a mixture states it.
        of_members: whether the spread is that of an ensemble's members, not of branches.
    """

    def __init__(
        self,
        calibrations: Mapping[str, BranchCalibration],
        branch: str | Mapping[str, float],
        *,
        of_members: bool,
    ) -> None:
        found = calibrations.get(key_of(branch))
        # one that was made of the other kind of spread says nothing of this one
        fits = found is not None and (found.energy_by == "members") == of_members
        self.calibration = found if fits else None
        self.of_members = of_members
        self._warned_of: np.ndarray | None = None

    def uncertainty(
        self, structure: AtomicStructure, prediction: StructurePrediction, *, warn: bool = True
    ) -> dict[str, Any]:
        """Spread of a prediction and, where the branch is calibrated, intervals.

        Args:
            structure: what was predicted.
            prediction: of it; of a single model with the energies of its branches.
            warn: whether a warning is given, at most once while only positions and cell change.

        Returns:
            what `member_spread` or `spread` gives, and with a calibration "intervals", half widths
            by level of "energy" (eV), "energy_per_atom", "force_components" and "forces" (length;
            eV/Angstrom, (N,)), and "atoms_outside", indices of atoms beyond the calibrated range.
        """
        found, spreads = self._spread(prediction)
        calibration = self.calibration
        if calibration is None:
            return found
        numbers = structure.atomic_numbers
        energy = np.array([found.get("energy_per_atom", np.nan)])
        found["intervals"] = _intervals(calibration, numbers, energy, spreads)
        outside = _outside(calibration, numbers, spreads)
        found["atoms_outside"] = outside
        if warn and len(outside) and not self._has_warned(numbers):
            self._warned_of = numbers.copy()
            warnings.warn(
                _message(calibration, numbers, spreads, outside), OutsideCalibration, stacklevel=2
            )
        return found

    def _spread(self, prediction: StructurePrediction) -> tuple[dict[str, Any], np.ndarray | None]:
        """What the spread is called, and that of each atom's force, (N,)."""
        if self.of_members:
            assert isinstance(prediction, EnsemblePrediction)
            return prediction.member_spread(), prediction.force_spread
        nothing = np.full(len(prediction.energies), np.nan)
        needs_no_spread = self.calibration is not None and self.calibration.energy_by == "nothing"
        if needs_no_spread and len(prediction.branch_interaction_energies) < 2:
            return {}, nothing
        return prediction.spread(), nothing

    def _has_warned(self, numbers: np.ndarray) -> bool:
        return self._warned_of is not None and np.array_equal(self._warned_of, numbers)


def _intervals(
    calibration: BranchCalibration,
    numbers: np.ndarray,
    energy: np.ndarray,
    spreads: np.ndarray | None,
) -> dict[float, dict[str, Any]]:
    found: dict[float, dict[str, Any]] = {
        level: {"energy": float(half[0]) * len(numbers), "energy_per_atom": float(half[0])}
        for level, half in calibration.energy.half_widths(
            calibration.energy_spreads(energy)
        ).items()
    }
    if spreads is None or calibration.component is None or calibration.force is None:
        return found
    own = calibration.force_spreads(numbers, spreads)
    for name, interval in (
        ("force_components", calibration.component),
        ("forces", calibration.force),
    ):
        for level, half in interval.half_widths(own).items():
            found[level][name] = half
    return found


def _outside(
    calibration: BranchCalibration, numbers: np.ndarray, spreads: np.ndarray | None
) -> np.ndarray:
    """Indices of atoms of elements that were not calibrated with, or with larger spreads."""
    limits = np.array([calibration.force_range.get(int(z), -1.0) for z in numbers])
    unseen = limits < 0
    if spreads is None or calibration.by_element or calibration.force is None:
        return np.flatnonzero(unseen)
    return np.flatnonzero(unseen | (spreads > limits))


def _message(
    calibration: BranchCalibration,
    numbers: np.ndarray,
    spreads: np.ndarray | None,
    outside: np.ndarray,
) -> str:
    """The atoms, the worst first, with spread and limit of each."""
    keys = np.zeros(len(numbers)) if spreads is None else np.nan_to_num(spreads)
    worst = outside[np.argsort(-keys[outside], kind="stable")]
    named = []
    for atom in worst[:_SHOWN]:
        symbol, limit = (
            elements.symbol(int(numbers[atom])),
            calibration.force_range.get(int(numbers[atom])),
        )
        if limit is None:
            named.append(f"{atom} {symbol} (element not calibrated with)")
        else:
            named.append(f"{atom} {symbol} ({keys[atom]:.3g}, calibrated up to {limit:.3g})")
    more = f" and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
    return (
        "atoms have left the range that uncertainties were calibrated in, by their spread of "
        f"forces in eV/Angstrom: {', '.join(named)}{more}; their intervals are too narrow. Of this "
        "structure there is no further warning: extras['uncertainty']['atoms_outside'] names them "
        "at every step"
    )

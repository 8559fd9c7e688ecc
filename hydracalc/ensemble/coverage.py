"""Whether calibrated intervals hold what they promise, on structures that were not used for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from hydracalc.ensemble.calibration import BranchCalibration, Interval
from hydracalc.ensemble.scores import Scores


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Share of held-out labels inside the intervals, by quantity and level.

    Attributes:
        shares: of "energy" (per atom), "component" and "force" (length), by level.
        widths: mean half width, eV/atom and eV/Angstrom, by level.
        rank_correlation: Spearman's, of spread and length of the force error over atoms, and of
            spread and error of the energy over structures; NaN where all spreads are equal.
        num_structures: held out.
        num_atoms: of them with force labels.
    """

    shares: Mapping[str, Mapping[float, float]]
    widths: Mapping[str, Mapping[float, float]]
    rank_correlation: Mapping[str, float]
    num_structures: int
    num_atoms: int

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text; a correlation that there is not is null."""

        def named(table: Mapping[str, Mapping[float, float]]) -> dict[str, dict[str, float]]:
            return {name: {f"{q:g}": v for q, v in row.items()} for name, row in table.items()}

        ranks = self.rank_correlation.items()
        return {
            "coverage": named(self.shares),
            "half_width": named(self.widths),
            "rank_correlation": {name: v if np.isfinite(v) else None for name, v in ranks},
            "num_structures": self.num_structures,
            "num_atoms": self.num_atoms,
        }


def measure(calibration: BranchCalibration, scores: Scores) -> Coverage:
    """Coverage of a calibration on structures that it was not made with."""
    shares, widths = {}, {}
    given = quantities(calibration, scores)
    for name, (interval, spreads, errors) in given.items():
        half = interval.half_widths(spreads)
        shares[name] = {level: float(np.mean(errors <= width)) for level, width in half.items()}
        widths[name] = {level: float(np.mean(width)) for level, width in half.items()}
    ranks = {
        name: rank_correlation(spreads, errors)
        for name, (_, spreads, errors) in given.items()
        if name != "component"
    }
    return Coverage(
        shares=shares,
        widths=widths,
        rank_correlation=ranks,
        num_structures=scores.num_structures,
        num_atoms=len(scores.labelled_forces()[0]),
    )


def quantities(
    calibration: BranchCalibration, scores: Scores
) -> dict[str, tuple[Interval, np.ndarray, np.ndarray]]:
    """Interval, spreads and absolute errors of each quantity that there are labels of."""
    found = {
        "energy": (
            calibration.energy,
            calibration.energy_spreads(scores.energy_spread),
            np.abs(scores.energy_error),
        )
    }
    numbers, errors, spreads = scores.labelled_forces()
    if calibration.component is None or calibration.force is None or not len(errors):
        return found
    spreads = calibration.force_spreads(numbers, spreads)
    lengths = np.linalg.norm(errors, axis=1)
    components = np.abs(errors).ravel()
    found["component"] = (calibration.component, np.repeat(spreads, 3), components)
    found["force"] = (calibration.force, spreads, lengths)
    return found


def rank_correlation(spreads: np.ndarray, errors: np.ndarray) -> float:
    """Spearman's; NaN where one of the two is the same everywhere, or there are fewer than two."""
    if len(spreads) < 2 or np.ptp(spreads) == 0 or np.ptp(errors) == 0:
        return float("nan")
    return float(spearmanr(spreads, errors).statistic)

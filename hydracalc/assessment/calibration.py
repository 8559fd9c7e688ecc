"""Whether the spread between branches tells the error: on test labels, energies and forces.

Spread is the standard deviation between the branches that know all elements of a structure: that
of `HydraCalculator.get_uncertainty` for energies, and the same of force vectors for forces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from hydracalc.models.hydra import HydraModel
from hydracalc.structure import AtomicStructure
from hydracalc.weighting.evidence import Evidence, gather_evidence

COVERED = {"68": 0.6827, "95": 0.9545}  # of a normal distribution, within one and two deviations
_BINS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Errors beside spreads.

    Attributes:
        spread: one for each error, >= 0.
        error: absolute, of the same unit.
    """

    spread: np.ndarray
    error: np.ndarray

    def to_json(self, unit: str) -> dict[str, Any]:
        """Rank correlation, coverage, the factors that would make it right, and means by spread.

        Args:
            unit: of errors, as keys carry it.
        """
        inside = {f"within_{k}_spreads": self._covered(float(k)) for k in (1, 2)}
        factors = {
            f"factor_for_{name}_percent": float(np.quantile(self._ratios(), part))
            for name, part in COVERED.items()
        }
        order = np.array_split(np.argsort(self.spread), _BINS)
        bins = [
            {
                f"mean_spread_{unit}": float(self.spread[rows].mean()),
                f"mean_error_{unit}": float(self.error[rows].mean()),
                "count": len(rows),
            }
            for rows in order
            if len(rows)
        ]
        correlation = float(spearmanr(self.spread, self.error).statistic)
        return {
            "count": len(self.error),
            "rank_correlation": correlation,
            **inside,
            **factors,
            "by_spread": bins,
        }

    def _ratios(self) -> np.ndarray:
        return self.error / np.maximum(self.spread, np.finfo(float).tiny)

    def _covered(self, times: float) -> float:
        return float((self.error <= times * self.spread).mean())


def measure_calibration(
    model: HydraModel, structures: Sequence[AtomicStructure]
) -> dict[str, Any] | None:
    """Spread against the error of "auto", or of each structure's own branch without a weighting.

    Returns:
        None where no structure is known to two branches.
    """
    evidence = gather_evidence(model, structures)
    weights = _weights(model, evidence, structures)
    several = (evidence.known.sum(dim=1) > 1) & (weights.sum(dim=1) > 0)
    if not several.any():
        return None
    energies = _energies(evidence, weights, several)
    forces = _forces(evidence, weights, several)
    return {
        "spread": "standard deviation between the branches that know all elements",
        "error_of": "own" if model.weighting is None else "auto",
        "structures": int(several.sum()),
        "energy": energies.to_json("eV_per_atom"),
        "forces": forces.to_json("eV_per_A"),
    }


def _weights(
    model: HydraModel, evidence: Evidence, structures: Sequence[AtomicStructure]
) -> torch.Tensor:
    if model.weighting is not None:
        with torch.no_grad():
            return model.weighting(evidence.fractions, evidence.state, model.supported)
    own = torch.tensor([model.branch_names.index(each.branch) for each in structures])
    one_hot = torch.nn.functional.one_hot(own, len(model.branch_names))
    return one_hot.to(torch.float64) * evidence.known


def _spread(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Standard deviation over known branches, (n, B) and bool (n, B) to (n,)."""
    count = known.sum(dim=1)
    mean = (values * known).sum(dim=1) / count
    squares = ((values - mean[:, None]).square() * known).sum(dim=1) / count
    return squares.sqrt()


def _energies(evidence: Evidence, weights: torch.Tensor, several: torch.Tensor) -> Calibration:
    error = evidence.errors(weights)[1]
    labelled = several & torch.isfinite(evidence.energy_labels)
    return Calibration(
        spread=_spread(evidence.energies, evidence.known)[labelled].numpy(),
        error=error[labelled].numpy(),
    )


def _forces(evidence: Evidence, weights: torch.Tensor, several: torch.Tensor) -> Calibration:
    """Components of forces, each with the spread of its own values."""
    owner = evidence.structure_index
    mixed = torch.einsum("nb,nbx->nx", weights[owner], evidence.forces)
    error = (mixed - evidence.force_labels).abs()
    known = evidence.known[owner]
    spread = torch.stack([_spread(evidence.forces[:, :, x], known) for x in range(3)], dim=1)
    rows = several[owner][:, None] & torch.isfinite(error)
    return Calibration(spread=spread[rows].numpy(), error=error[rows].numpy())

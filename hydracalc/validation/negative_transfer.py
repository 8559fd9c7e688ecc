"""Whether training on several datasets at once helped each of them [next check 1, 2506.21788].

For a dataset, the multi-task model's own branch is held against a model that was trained on that
dataset alone: the ratio of their mean absolute errors on the same test structures. Its interval is
a bootstrap over groups of structures (one molecule, composition or trajectory), because structures
of a group are alike and would feign certainty.
"""

from dataclasses import dataclass

import numpy as np

from hydracalc.validation.transfer_errors import TransferErrors

HELPED, HURT, UNDECIDED = "helped", "hurt", "undecided"

_SAMPLES = 2000
_LEVEL = 0.95
_SEED = 0
_AT_ONCE = 2**22  # drawn groups
# with fewer groups a bootstrap does not know how uncertain it is
FEWEST_GROUPS = 8


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A multi-task and a single-task model on one dataset.

    Attributes:
        quantity: "force" or "energy".
        multi, single: mean absolute errors, eV/Angstrom or eV/atom.
        low, high: of the interval of their ratio; NaN where there are too few groups.
        num_structures, num_groups: that both were tested on.
    """

    quantity: str
    multi: float
    single: float
    low: float
    high: float
    num_structures: int
    num_groups: int

    @property
    def ratio(self) -> float:
        """Error of the multi-task model over that of the single-task one."""
        return self.multi / self.single if self.single > 0 else float("nan")

    @property
    def verdict(self) -> str:
        """Whether the interval is below 1, above it, or neither."""
        if self.high < 1:
            return HELPED
        return HURT if self.low > 1 else UNDECIDED


def compare(multi: TransferErrors, single: TransferErrors) -> list[Comparison]:
    """Both models on the structures that both answer for; forces, then energies as predicted.

    Energies need no shift here: both branches have the dataset's own zero.
    """
    both, ours, theirs = np.intersect1d(multi.indices, single.indices, return_indices=True)
    groups = np.array([multi.groups[i] for i in ours], dtype=np.str_)
    force = (multi.force[ours], single.force[theirs])
    components = multi.components[ours]
    one = np.ones(len(both), dtype=np.int64)
    energy = (multi.energy_as_predicted[ours], single.energy_as_predicted[theirs])
    return [
        _compared(quantity, np.stack(errors), counts, groups)
        for quantity, errors, counts in (("force", force, components), ("energy", energy, one))
        if counts.sum()
    ]


def _compared(
    quantity: str, errors: np.ndarray, counts: np.ndarray, groups: np.ndarray
) -> Comparison:
    """Ratio of two sums of errors over structures, (2, S), with its interval."""
    names, place = np.unique(groups, return_inverse=True)
    above, below = (np.bincount(place, each) for each in errors)
    low, high = np.nan, np.nan
    if len(names) >= FEWEST_GROUPS:
        low, high = bootstrap_ratio(above, below)
    multi, single = errors.sum(axis=1) / counts.sum()
    return Comparison(
        quantity=quantity,
        multi=float(multi),
        single=float(single),
        low=low,
        high=high,
        num_structures=int((counts > 0).sum()),
        num_groups=len(names),
    )


def bootstrap_ratio(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """Interval of sum(above) / sum(below) under drawing groups anew, 95 percent.

    Args:
        above: sum of each group, (G,).
        below: the same of what is divided by, (G,).
    """
    rng = np.random.default_rng(_SEED)
    at_once = max(1, _AT_ONCE // len(above))
    ratios = []
    for start in range(0, _SAMPLES, at_once):
        drawn = rng.integers(0, len(above), (min(at_once, _SAMPLES - start), len(above)))
        ratios.append(above[drawn].sum(axis=1) / below[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(ratios), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)

"""What to keep of many trials: those that no other beats in everything, and one order of them.

The rule of `select_by`, for quantities of which less is better:

1. A trial that another one equals or beats in every key, and beats in one, is dominated. Trials
   that nobody dominates come before all others (then those that only these dominate, and so on).
2. Among them the smallest cost is first, the weighted mean of log(value / smallest value) over the
   keys: a trial that is twice the best in one key of two, equally weighted, costs log(2) / 2, the
   same in any unit. With weights w_k, one percent more of key i is worth w_i / w_j percent of key
   j: "one percent of error for one percent of energy" where all are 1.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

# a zero would be infinitely better than anything, whatever the other keys say
_SMALLEST = 1e-12


def table_of(trials: Sequence[Mapping[str, object]], keys: Sequence[str]) -> np.ndarray:
    """Values of trials, float64, (trials, keys).

    Raises:
        ValueError: there is no key, or a trial lacks one, or its value is no positive number.
    """
    if not keys:
        raise ValueError("no key to compare trials by")
    rows = [[_number(trial, key, number) for key in keys] for number, trial in enumerate(trials)]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(keys))


def _number(trial: Mapping[str, object], key: str, number: int) -> float:
    value = trial.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    known = ", ".join(sorted(name for name, v in trial.items() if isinstance(v, int | float)))
    raise ValueError(
        f"trial {trial.get('name', number)}: {key} is {value!r}, expected a number not below 0 "
        f"(it has {known or 'no numbers'})"
    )


def front(values: np.ndarray) -> np.ndarray:
    """Which rows no other row dominates, bool, (trials,); of equal rows all.

    Args:
        values: less is better, (trials, keys).
    """
    as_good = (values[:, None, :] <= values[None, :, :]).all(axis=2)
    better = (values[:, None, :] < values[None, :, :]).any(axis=2)
    return ~np.asarray((as_good & better).any(axis=0))


def ranks(values: np.ndarray) -> np.ndarray:
    """Front that each row is on, int, (trials,): 0 is not dominated, 1 only by rows of 0, ..."""
    found = np.full(len(values), -1)
    level = 0
    while (left := np.flatnonzero(found < 0)).size:
        found[left[front(values[left])]] = level
        level += 1
    return found


def costs(values: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Weighted mean of log ratios to the smallest value of each key, (trials,)."""
    share = np.asarray(weights, dtype=np.float64)
    logs = np.log(np.maximum(values, _SMALLEST))
    result: np.ndarray = (logs - logs.min(axis=0)) @ (share / share.sum())
    return result


def select_by(
    trials: Sequence[Mapping[str, object]],
    keys: Sequence[str],
    *,
    trade_off: Mapping[str, float] | None = None,
    count: int | None = None,
) -> list[int]:
    """Indices of trials, best first, by the rule at the top of this file.

    Args:
        trials: each with a number for every key, less is better.
        keys: such as "val_force_mae" and "energy_joule".
        trade_off: weight of some keys; 1 for those that it does not name.
        count: how many are wanted; None is all.

    Raises:
        ValueError: see `table_of`; or a weight is of no key or not positive, or the count is not.
    """
    weights = dict.fromkeys(keys, 1.0) | dict(trade_off or {})
    for key, weight in weights.items():
        if key not in keys:
            raise ValueError(f"trade-off names {key!r}, the keys are {', '.join(keys)}")
        if not weight > 0:
            raise ValueError(f"trade-off: weight of {key} is {weight}, expected a positive number")
    if count is not None and count < 1:
        raise ValueError(f"count is {count}, expected at least 1")
    values = table_of(trials, keys)
    if not len(values):
        return []
    cost = costs(values, [weights[key] for key in keys])
    order = np.lexsort((cost, ranks(values)))
    return [int(index) for index in order[:count]]

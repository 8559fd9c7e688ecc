"""Which branches answer for a structure: one, a fixed mixture, or weights by composition."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from hydracalc import elements
from hydracalc.errors import unknown
from hydracalc.models.hydra import HydraModel

AUTO = "auto"

# what users may write for a branch; None leaves it to the model
BranchChoice = str | Mapping[str, float] | None

_WEIGHT_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """A choice of branches, checked against a model.

    Attributes:
        names: all branches of the model, B of them.
        supported: elements each branch knows, bool, (B, 119).
        weights: weight of each branch, (B,), sum 1; None where composition decides.
    """

    names: tuple[str, ...]
    supported: np.ndarray
    weights: np.ndarray | None

    @property
    def branch(self) -> str | dict[str, float]:
        """The choice in words: a branch name, "auto", or weights by name."""
        if self.weights is None:
            return AUTO
        if self.index is not None:
            return self.names[self.index]
        return {n: float(w) for n, w in zip(self.names, self.weights, strict=True) if w > 0}

    @property
    def index(self) -> int | None:
        """Index of the branch that has all the weight; None where there are several."""
        if self.weights is None or np.count_nonzero(self.weights) != 1:
            return None
        return int(np.argmax(self.weights))

    @property
    def allowed_atomic_numbers(self) -> list[int]:
        """Elements that the choice can describe; with "auto" those that any branch knows."""
        if self.weights is None:
            known = self.supported.any(axis=0)
        else:
            known = self.supported[self.weights > 0].all(axis=0)
        return [int(z) for z in np.nonzero(known)[0]]

    def supporting(self, atomic_numbers: np.ndarray) -> np.ndarray:
        """Which branches know all elements of a structure, bool, (B,)."""
        return np.asarray(self.supported[:, atomic_numbers].all(axis=1))

    def check(self, atomic_numbers: np.ndarray) -> None:
        """Make sure that the choice can describe a structure.

        Raises:
            ValueError: it cannot; the message names the elements and the branches that know them.
        """
        knows = self.supporting(atomic_numbers)
        if self.weights is None:
            if not knows.any():
                present = elements.symbols(atomic_numbers)
                raise ValueError(
                    f"no branch knows all elements of {present}: {self._by_branch(atomic_numbers)}"
                )
            return
        for branch in np.nonzero((self.weights > 0) & ~knows)[0]:
            self._raise_unsupported(int(branch), atomic_numbers)

    def _by_branch(self, atomic_numbers: np.ndarray) -> str:
        missing = [
            elements.symbols(atomic_numbers[~self.supported[b, atomic_numbers]])
            for b in range(len(self.names))
        ]
        return "; ".join(
            f"{name} lacks {', '.join(lacks)}"
            for name, lacks in zip(self.names, missing, strict=True)
        )

    def _raise_unsupported(self, branch: int, atomic_numbers: np.ndarray) -> None:
        lacking = elements.symbols(atomic_numbers[~self.supported[branch, atomic_numbers]])
        known = elements.symbols(np.nonzero(self.supported[branch])[0])
        able = [self.names[b] for b in np.nonzero(self.supporting(atomic_numbers))[0]]
        raise ValueError(
            f"branch {self.names[branch]!r} does not know {', '.join(lacking)} "
            f"(knows: {', '.join(known)}; branches that know all elements here: "
            f"{', '.join(able) or 'none'})"
        )


def choose(model: HydraModel, branch: BranchChoice) -> Mixture:
    """The branches that a user's word stands for.

    Args:
        model: whose branches.
        branch: None (the model's default branch if it has one; else composition decides where it
            has a trained weighting, else its only branch), "auto", a name, or weights by name with
            sum 1.

    Raises:
        ValueError: no such branch, weights that are negative or do not add up to 1, "auto" without
            a trained weighting, or no word where the model has several branches.
    """
    supported = model.supported.cpu().numpy()
    weights = _weights(model, branch)
    return Mixture(names=model.branch_names, supported=supported, weights=weights)


def _weights(model: HydraModel, branch: BranchChoice) -> np.ndarray | None:
    """Weight of each branch, (B,), or None for "auto"."""
    names = model.branch_names
    branch = model.default_branch if branch is None else branch
    if branch is None:
        if model.weighting is None and len(names) > 1:
            raise ValueError(f"this model has several branches; name one of {list(names)}")
        branch = AUTO if model.weighting is not None else names[0]
    if branch == AUTO and model.weighting is None:
        raise ValueError(f"'auto' needs a trained weighting; name one of {list(names)}")
    return None if branch == AUTO else _fixed_weights(names, branch)


def _fixed_weights(names: tuple[str, ...], branch: str | Mapping[str, float]) -> np.ndarray:
    given = {branch: 1.0} if isinstance(branch, str) else branch
    if not isinstance(given, Mapping):
        raise ValueError(f"branch is {branch!r}, expected a name or weights by name")
    for name in given:
        if name not in names:
            raise ValueError(unknown("branch", str(name), [*names, AUTO]))
    weights = np.array([float(given.get(name, 0.0)) for name in names])
    if not (weights >= 0).all() or abs(weights.sum() - 1) > _WEIGHT_SUM_TOLERANCE:
        raise ValueError(f"weights of branches are {dict(given)}, expected none below 0 and sum 1")
    return weights / weights.sum()


def baselines(model: HydraModel, atomic_numbers: Tensor) -> Tensor:
    """Sum of references of a structure in every branch, eV, float64, (B,); NaN: unsupported."""
    return model.branches.reference_energies(atomic_numbers).sum(dim=1)

"""Decides which structures train a model and which only test it."""

import hashlib
from dataclasses import dataclass

from hydracalc.errors import DataError, unknown
from hydracalc.shards.table import SPLITS
from hydracalc.structure import AtomicStructure


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Share of the groups in each split; the rest trains.

    Attributes:
        val: fraction for choosing a model.
        test: fraction for its errors.
        seed: another one deals the groups anew.

    Raises:
        ValueError: nothing is left to train, or a fraction is negative.
    """

    val: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test < 1):
            raise ValueError(
                f"val is {self.val} and test {self.test}; "
                "expected fractions of at least 0, their sum below 1"
            )


class Splitter:
    """Puts whole groups on one side: which one depends on the seed and the group's name alone.

    So it is the same for every order of the data, and groups that datasets share by name, such as
    a formula, are on the same side in all of them. A split that the dataset publishes is kept.
    """

    def __init__(self, config: SplitConfig) -> None:
        self._config = config
        self._sides: dict[int, str] = {}  # side of each group seen, by hash

    def split_of(self, structure: AtomicStructure) -> str:
        """Side of a structure: "train", "val" or "test".

        Raises:
            ValueError: the structure has no group, or a published split that does not exist.
            DataError: the published splits put its group on two sides.
        """
        name = structure.source or "(unnamed)"
        if not structure.group:
            raise ValueError(f"structure {name} has no group; its adapter must state one")
        if structure.split is not None and structure.split not in SPLITS:
            message = unknown("split", structure.split, SPLITS)
            raise ValueError(f"structure {name}: {message}")
        number = _hash(self._config.seed, structure.group)
        side = self._sides.setdefault(number, structure.split or self._deal(number))
        if structure.split not in (None, side):
            raise DataError(
                f"structure {name}: its published split is {structure.split!r}, but its group "
                f"{structure.group!r} is in {side!r} already"
            )
        return side

    def _deal(self, number: int) -> str:
        share = number / 2**64
        if share < self._config.test:
            return "test"
        return "val" if share < self._config.test + self._config.val else "train"


def _hash(seed: int, group: str) -> int:
    digest = hashlib.blake2b(f"{seed}\n{group}".encode(), digest_size=8)
    return int.from_bytes(digest.digest())

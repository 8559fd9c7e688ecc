"""Decides which structures train a model and which only test it."""

import hashlib
from dataclasses import dataclass

import numpy as np

from hydracalc.errors import DataError
from hydracalc.shards.table import SPLITS, published_split
from hydracalc.structure import AtomicStructure


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Share of the groups in each split; the rest trains.

    Attributes:
        val: fraction for choosing a model.
        test: fraction for its errors.
        seed: another one deals the groups anew.
        join_near: groups with structures that differ by random displacements of no more than so
            many Angstrom go together; 0 goes by the names of groups alone.

    Raises:
        ValueError: nothing is left to train, or a fraction is negative.
    """

    val: float = 0.1
    test: float = 0.1
    seed: int = 0
    join_near: float = 0.0

    def __post_init__(self) -> None:
        if not self.join_near >= 0:
            raise ValueError(f"join_near is {self.join_near}, expected 0 or a length in Angstrom")
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
            raise ValueError(no_group(name))
        published_split(structure)  # checks that it exists
        number = group_hash(structure.group, self._config.seed)
        dealt = SPLITS[deal(np.array([number], dtype=np.uint64), self._config)[0]]
        side = self._sides.setdefault(number, structure.split or dealt)
        if structure.split not in (None, side):
            raise DataError(divided(name, structure.split, structure.group, side))
        return side


def no_group(name: str) -> str:
    """What to say of a structure without a group."""
    return f"structure {name} has no group; its adapter must state one"


def divided(name: str, split: str | None, group: str, side: str) -> str:
    """What to say where published splits put a group on two sides."""
    return (
        f"structure {name}: its published split is {split!r}, but its group {group!r} is in "
        f"{side!r} already"
    )


def group_hash(group: str, seed: int) -> int:
    """64-bit hash of a group's name, another one for another seed."""
    digest = hashlib.blake2b(f"{seed}\n{group}".encode(), digest_size=8)
    return int.from_bytes(digest.digest())


def deal(hashes: np.ndarray, config: SplitConfig) -> np.ndarray:
    """Sides of groups without a published split: index into SPLITS, int8, (S,).

    Args:
        hashes: `group_hash` of each, uint64, (S,).
        config: share of each side.
    """
    share = hashes / 2.0**64
    train, val, test = range(len(SPLITS))
    sides = np.where(share < config.test + config.val, val, train)
    return np.where(share < config.test, test, sides).astype(np.int8)


def first_sides(published: np.ndarray, hashes: np.ndarray, config: SplitConfig) -> np.ndarray:
    """Sides of structures as far as each one's own record tells: index into SPLITS, int8, (S,).

    Args:
        published: index of the published split or -1, int8, (S,).
        hashes: `group_hash` of each one's group, uint64, (S,).
        config: share of each side.
    """
    return np.where(published >= 0, published, deal(hashes, config)).astype(np.int8)

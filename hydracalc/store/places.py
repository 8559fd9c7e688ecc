"""Where a process stands among those that hold structures together, and how they agree."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from hydracalc.errors import DataError
from hydracalc.parallel.launch import Communicator

NO_MPI = (
    "reads memory of other ranks through MPI, which did not start this process; start with "
    "mpiexec, srun or PALS, or use 'shared' (one copy a machine) or 'mapped'"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """This process among the ranks that share the structures of a branch.

    Attributes:
        rank: number among them.
        size: how many there are.
        node_rank: number among those on this machine.
        node_size: how many of them are on this machine.
        node: number that the ranks of this machine have in common, and no others.
        token: text that only these ranks have in common, for names of files.
        gather: makes objects of all ranks, in their order, known to all; None alone.
        comm: MPI communicator of these ranks; None alone and where MPI did not start them.
        no_rma: why these ranks cannot read each other's memory; "" if they can.
    """

    rank: int = 0
    size: int = 1
    node_rank: int = 0
    node_size: int = 1
    node: int = 0
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    gather: Callable[[Any], list[Any]] | None = field(default=None, repr=False)
    comm: Communicator | None = field(default=None, repr=False)
    no_rma: str = NO_MPI
    _names: Iterator[int] = field(default_factory=count, repr=False)

    def next_name(self) -> str:
        """A name for files that is the same on all ranks if all ask equally often."""
        return f"{self.token}-{next(self._names)}"

    def all_of(self, own: Any) -> list[Any]:  # noqa: ANN401  # anything can be sent
        """Objects of all ranks, in their order. Collective over them."""
        return [own] if self.gather is None else self.gather(own)

    def agree(self, failure: Exception | None) -> None:
        """Let a failure of one rank be raised on all. Collective over the ranks.

        Args:
            failure: of this rank, or None.

        Raises:
            Exception: this rank's failure.
            DataError: another rank's failure, which the message names.
        """
        texts = self.all_of(None if failure is None else str(failure))
        if failure is not None:
            raise failure
        for rank, text in enumerate(texts):
            if text is not None:
                raise DataError(f"rank {rank}: {text}")


def share_of(num_atoms: np.ndarray, rank: int, size: int) -> np.ndarray:
    """Consecutive structures of one of several ranks, so that all hold about as many atoms.

    Args:
        num_atoms: of each structure, (S,).
        rank: whose share.
        size: number of ranks.

    Returns:
        indices, int64, ascending.
    """
    middle = np.cumsum(num_atoms) - num_atoms / 2
    owner = np.floor(middle * size / max(1, num_atoms.sum())).astype(np.int64)
    return np.flatnonzero(owner == rank)

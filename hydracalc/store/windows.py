"""Memory that MPI processes show each other: the one file of the store that talks to MPI.

Memory comes from MPI itself (Win.Allocate) rather than from NumPy (Win.Create): it lives until the
job ends, so a process that leaves early serves no freed bytes; networks register it once; and on
one machine MPICH and Open MPI read it directly, without help of the process it belongs to.
"""

import atexit
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from mpi4py import MPI

from hydracalc.parallel.launch import Communicator
from hydracalc.store.places import Place
from hydracalc.store.watch import Watch

_SHARED_MEMORY = Path("/dev/shm")
# bytes of one transfer; MPI counts in 32 bits
_MOST_BYTES = 2**30
_ABORTED = 13


def place_of(comm: Communicator, *, timeout_s: float, group: int = 0) -> Place:
    """This process among the ranks of a communicator that give the same number of a group.

    Collective over the communicator.

    Args:
        comm: as `launch.world` gives it.
        timeout_s: a wait for another rank that takes longer ends the job.
        group: ranks of equal number share their structures.
    """
    whole = cast(MPI.Intracomm, comm)
    with _watched(_name(), "the other ranks to take their places", timeout_s):
        ranks = whole.Split(group, whole.Get_rank())
        node = ranks.Split_type(MPI.COMM_TYPE_SHARED)
        machine = whole.Split_type(MPI.COMM_TYPE_SHARED)  # groups may share it
        number = machine.bcast(whole.Get_rank())
        token = ranks.bcast(secrets.token_hex(8))

    def gather(own: Any) -> list[Any]:  # noqa: ANN401  # anything can be sent
        with _watched(_name(), "the other ranks to reach the same point", timeout_s):
            return ranks.allgather(own)

    place = Place(
        rank=ranks.Get_rank(),
        size=ranks.Get_size(),
        node_rank=node.Get_rank(),
        node_size=node.Get_size(),
        node=number,
        token=token,
        gather=gather,
        comm=cast(Communicator, ranks),
        no_rma=_no_rma(),
    )
    node.Free()
    machine.Free()
    return place


class Exchange:
    """Some ranks of a communicator that hold structures together.

    Args:
        place: with a communicator.
        color: ranks of equal color belong together; None puts those of one machine together.
        timeout_s: a wait for another rank that takes longer ends the job.

    Attributes:
        rank: number of this process among them.
        size: how many they are.
    """

    def __init__(self, place: Place, *, color: int | None, timeout_s: float) -> None:
        assert place.comm is not None
        world = cast(MPI.Intracomm, place.comm)
        self._timeout_s = timeout_s
        _WATCH.start()
        with self.waiting("the other ranks to open the store"):
            if color is None:
                made = world.Split_type(MPI.COMM_TYPE_SHARED)
            else:
                made = world.Split(color, world.Get_rank())
        self._comm = cast(MPI.Intracomm, made)
        self._in_world = MPI.Group.Translate_ranks(
            self._comm.Get_group(), None, MPI.COMM_WORLD.Get_group()
        )
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """End the job with a message if the block takes longer than the time limit."""
        return _watched(_name(), what, self._timeout_s)

    def name_of(self, rank: int) -> str:
        """The number in the job of one of these ranks, for messages."""
        return f"rank {self._in_world[rank]}"

    def join(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Numbers of every rank on every rank, int64. Collective over these ranks."""
        with self.waiting("the other ranks to open the store"):
            counts = self._comm.allgather(len(numbers))
            joined = np.empty(sum(counts), dtype=np.int64)
            self._comm.Allgatherv(np.ascontiguousarray(numbers, np.int64), (joined, counts))
        return np.split(joined, np.cumsum(counts)[:-1])

    def barrier(self) -> None:
        """Wait for all of these ranks."""
        with self.waiting("the other ranks to reach the same point"):
            self._comm.Barrier()

    def free(self) -> None:
        """Collective over these ranks."""
        with self.waiting("the other ranks to close the store"):
            self._comm.Free()
        _WATCH.stop()

    def node_memory(self, num_bytes: int) -> "NodeMemory":
        """Memory that all of these ranks load from and store to; they are on one machine."""
        return NodeMemory(self, self._comm, num_bytes)

    def window(self, num_bytes: int) -> "Window":
        """Memory of this rank that the others can read."""
        return Window(self, self._comm, num_bytes)


class NodeMemory:
    """Bytes that the ranks of one machine have in common.

    Attributes:
        block: uint8; not to be touched after `free`.
    """

    def __init__(self, exchange: Exchange, comm: MPI.Intracomm, num_bytes: int) -> None:
        self._exchange = exchange
        own = num_bytes if comm.Get_rank() == 0 else 0
        with exchange.waiting("the other ranks to open the store"):
            self._window = MPI.Win.Allocate_shared(own, 1, comm=comm)
        memory, _ = self._window.Shared_query(0)
        self.block = _array(memory)[:num_bytes]

    def publish(self) -> None:
        """What any rank has stored is seen by all from now on. Collective over these ranks."""
        with self._exchange.waiting("the other ranks to read their share of the structures"):
            self._window.Fence()

    def free(self) -> None:
        """Collective over these ranks."""
        self.block = np.empty(0, dtype=np.uint8)
        with self._exchange.waiting("the other ranks to close the store"):
            self._window.Free()


class Window:
    """Bytes of this rank that others read without its help.

    Attributes:
        block: uint8, this rank's; not to be touched after `free`.
    """

    def __init__(self, exchange: Exchange, comm: MPI.Intracomm, num_bytes: int) -> None:
        self._exchange = exchange
        with exchange.waiting("the other ranks to open the store"):
            self._window = MPI.Win.Allocate(max(num_bytes, 8), 1, comm=comm)
        self.block = _array(self._window.tomemory())[:num_bytes]

    def publish(self) -> None:
        """Let the others read from now on. Collective over these ranks."""
        with self._exchange.waiting("the other ranks to read their share of the structures"):
            self._window.Fence()
        # one lock for all reads: with a lock for each, reading waits for the other process
        self._window.Lock_all(MPI.MODE_NOCHECK)

    def get(self, owner: int, ranges: list[tuple[int, int, int]], into: memoryview) -> None:
        """Start to read; the bytes are there after `finish`.

        Args:
            owner: rank to read from.
            ranges: first byte there, first byte in `into`, number of bytes.
            into: writable.
        """
        for there, here, size in ranges:
            for done in range(0, size, _MOST_BYTES):
                some = min(_MOST_BYTES, size - done)
                part = into[here + done : here + done + some]
                self._window.Get((part, some, MPI.BYTE), owner, (there + done, some, MPI.BYTE))

    def finish(self, owner: int) -> None:
        """Wait for everything that was asked of a rank."""
        self._window.Flush(owner)

    def free(self) -> None:
        """Collective over these ranks."""
        self.block = np.empty(0, dtype=np.uint8)
        with self._exchange.waiting("the other ranks to close the store"):
            self._window.Unlock_all()
            self._window.Free()


@contextmanager
def _watched(name: str, what: str, seconds: float) -> Iterator[None]:
    """End the job with a message if the block takes longer."""
    message = f"{name}: waited {seconds:g} s for {what}; a process is stuck or lost, the job ends"
    _WATCH.start()
    try:
        with _WATCH.waiting(message, seconds):
            yield
    finally:
        _WATCH.stop()


def _name() -> str:
    """This process as the whole job knows it, and its machine."""
    return f"rank {MPI.COMM_WORLD.Get_rank()} ({socket.gethostname()})"


def check_shared_memory(num_bytes: int) -> None:
    """Make sure that `node_memory` can be had.

    Raises:
        ValueError: the machine has not so much shared memory.
    """
    if not _SHARED_MEMORY.is_dir():
        return
    facts = os.statvfs(_SHARED_MEMORY)
    free = facts.f_bavail * facts.f_frsize
    if num_bytes > free:  # touching what is not there would end the process by a bus error
        raise ValueError(
            f"the structures take {num_bytes / 1e9:.3g} GB of shared memory, {_SHARED_MEMORY} has "
            f"{free / 1e9:.3g} GB; enlarge it (a container's --shm-size), or use store kind "
            "'rma', 'mapped' or 'local'"
        )


def _no_rma() -> str:
    """Why threads of this process cannot read other ranks' memory; "" if they can."""
    level = MPI.Query_thread()
    if level == MPI.THREAD_MULTIPLE:
        return ""
    names = {MPI.THREAD_SINGLE: "single", MPI.THREAD_FUNNELED: "funneled"}
    return (
        "reads memory of other ranks in a thread beside training, which needs MPI started with "
        f"thread level 'multiple', but it is {names.get(level, 'serialized')!r}; use 'shared' "
        "(one copy a machine) or 'mapped'"
    )


def _array(memory: MPI.buffer) -> np.ndarray:
    return np.frombuffer(cast(memoryview, memory), dtype=np.uint8)


def _poll() -> None:
    """Any call that looks for messages lets MPI answer readers of this process's memory."""
    if MPI.Query_thread() == MPI.THREAD_MULTIPLE and not MPI.Is_finalized():
        MPI.COMM_WORLD.Iprobe()


def _end() -> None:
    MPI.COMM_WORLD.Abort(_ABORTED)
    os._exit(_ABORTED)


_WATCH = Watch(_poll, _end)
atexit.register(_WATCH.stop_all)  # runs before MPI is finalized

"""Independent tasks shared by processes: one, several on this machine, or the ranks of an MPI job.

Results come in the order of the tasks, so they do not depend on who did what.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Protocol, TypeVar, cast

from hydracalc.errors import DataError
from hydracalc.parallel import launch

Task = TypeVar("Task")
Result = TypeVar("Result")
Done = Callable[[Result], None]


class Workers(Protocol):
    """Who does the tasks.

    Attributes:
        is_root: whether this process is the one that reports; there is exactly one.
        is_here: whether tasks run in the process that asks for them.
    """

    is_root: bool
    is_here: bool

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        done: Done[Result] | None = None,
    ) -> list[Result]:
        """The function's result for every task, in their order, in every process.

        Args:
            function: may run in another process, so it and the tasks are sent there.
            tasks: what it is called with.
            done: called in the root with each result as it comes.

        Raises:
            Exception: that of the first task that failed.
        """
        ...

    def on_root(self, function: Callable[[], Result]) -> Result:
        """Call a function once, in the root; every process gets its result, or its error."""
        ...


class Alone:
    """This process does everything."""

    is_root = True
    is_here = True

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        done: Done[Result] | None = None,
    ) -> list[Result]:
        """One task after another."""
        results = []
        for task in tasks:
            results.append(function(task))
            if done is not None:
                done(results[-1])
        return results

    def on_root(self, function: Callable[[], Result]) -> Result:
        """Call it."""
        return function()


class Processes(Alone):
    """Processes on this machine, started for the tasks."""

    is_here = False

    def __init__(self, count: int) -> None:
        """Nothing is started yet.

        Raises:
            ValueError: the count is not positive.
        """
        if count < 1:
            raise ValueError(f"number of processes is {count}, expected at least 1")
        self._count = count

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        done: Done[Result] | None = None,
    ) -> list[Result]:
        """Tasks are handed out in their order to whoever is free.

        Raises:
            DataError: a process was killed.
        """
        count = min(self._count, len(tasks))
        if count < 2:
            return super().run(function, tasks, done)
        results: dict[int, Result] = {}
        # a fresh interpreter: forking one that has threads may hang it
        fresh = get_context("spawn")
        with ProcessPoolExecutor(count, mp_context=fresh, initializer=_end_with_parent) as pool:
            futures = {pool.submit(function, task): index for index, task in enumerate(tasks)}
            try:
                for future in as_completed(futures):
                    results[futures[future]] = future.result()
                    if done is not None:
                        done(results[futures[future]])
            except BrokenProcessPool:
                raise DataError(
                    f"one of {count} processes ended without a message: it was killed, perhaps "
                    "for want of memory; the same command continues where it was"
                ) from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return [results[index] for index in range(len(tasks))]


def _end_with_parent() -> None:
    """From now on this process ends when the one that started it for its tasks does."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)  # a killed parent cannot ask for anything better

    Thread(target=watch, daemon=True).start()


class Ranks:
    """All ranks of an MPI job; each calls the same functions with the same tasks."""

    is_here = True

    def __init__(self, comm: launch.Communicator) -> None:
        """Takes part in the job of a communicator."""
        self._comm = comm
        self.is_root = comm.Get_rank() == 0

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        done: Done[Result] | None = None,
    ) -> list[Result]:
        """Every rank takes every R-th task; a failed one is raised on all ranks."""
        rank, size = self._comm.Get_rank(), self._comm.Get_size()
        results: list[Result] = []
        failure: Exception | None = None
        try:
            for task in tasks[rank::size]:
                results.append(function(task))
                if done is not None and self.is_root:
                    done(results[-1])
        except Exception as error:  # noqa: BLE001  # the other ranks must hear of it
            failure = error
        everything = self._comm.allgather((results, failure))
        for _, heard in everything:
            if heard is not None:
                raise heard
        parts = [part for part, _ in everything]
        return [parts[index % size][index // size] for index in range(len(tasks))]

    def on_root(self, function: Callable[[], Result]) -> Result:
        """Call it in rank 0 and tell the others."""
        result: Result | None = None
        failure: Exception | None = None
        if self.is_root:
            try:
                result = function()
            except Exception as error:  # noqa: BLE001  # the other ranks must hear of it
                failure = error
        result, failure = self._comm.bcast((result, failure))
        if failure is not None:
            raise failure
        return cast(Result, result)


def find_workers(count: int | None = None) -> Workers:
    """Workers as the process was started: the ranks of its MPI job, else `count` processes.

    Args:
        count: processes on this machine; None is one.

    Raises:
        ValueError: a count is asked for inside an MPI job of another size.
    """
    started = launch.detect()
    if started.kind == "torchrun" and started.size > 1:
        raise ValueError(
            "torchrun starts processes that each would do all of this; use --ranks, or mpiexec"
        )
    comm = launch.world()
    if comm is None:
        return Alone() if count is None or count == 1 else Processes(count)
    if count not in (None, comm.Get_size()):
        raise ValueError(
            f"{count} ranks are asked for, but the launcher started {comm.Get_size()}; "
            "leave --ranks out under mpiexec or srun"
        )
    return Ranks(comm)

"""Loops over pairs or atoms shared out among as many threads as torch is given.

A thread is worth waking only for much work: on a busy machine it may have to wait for its turn
longer than a small loop takes. While ours run, the calling thread rests and they call torch on one
thread each, so that there are never more threads than torch was given.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

# rows times channels for which a thread is woken: some milliseconds of work
_WORTH_A_THREAD = 1_000_000
# every thread has arrays of its own to add to, so their number is bounded
_MOST_THREADS = 16


def shares(num_rows: int, num_channels: int) -> list[tuple[int, int]]:
    """Ranges of rows, one for each thread worth waking; at least one.

    Args:
        num_rows: rows of the arrays that a loop goes through.
        num_channels: numbers in each row.

    Returns:
        the first row of each range and the row after its last.
    """
    useful = num_rows * num_channels // _WORTH_A_THREAD
    if useful < 2:
        return [(0, num_rows)]
    count = min(torch.get_num_threads(), useful, _MOST_THREADS)
    return list(pairwise(num_rows * part // count for part in range(count + 1)))


def run(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """What the tasks return, done at the same time; one alone is done in the calling thread."""
    if len(tasks) == 1:
        return [tasks[0]()]
    num_threads = torch.get_num_threads()
    # each thread has its own say on whether torch keeps what derivatives need
    waiting = [_pool(os.getpid()).submit(torch.no_grad()(task)) for task in tasks]
    try:
        return [each.result() for each in waiting]
    finally:  # what our threads asked for themselves would hold for all threads begun later
        torch.set_num_threads(num_threads)


def over_rows(like: Tensor, work: Callable[..., None], *arrays: Tensor) -> None:
    """Run a loop over the rows of an array, on several threads where it is large.

    Args:
        like: the array whose rows are gone through.
        work: takes the first row, the row after the last, and the arrays.
        arrays: results, and what else comes after the rows.
    """
    given = [each.numpy() for each in arrays]
    num_rows = like.shape[0]
    if like.numel() < 2 * _WORTH_A_THREAD:  # as `shares` would have it, sooner
        work(0, num_rows, *given)
        return
    parts = shares(num_rows, like.numel() // num_rows)
    run([partial(work, *part, *given) for part in parts])


@lru_cache(maxsize=1)
def _pool(_process: int) -> ThreadPoolExecutor:
    """Threads of this process: those of the parent do not live on in a forked child."""
    return ThreadPoolExecutor(
        _MOST_THREADS,
        thread_name_prefix="hydracalc-loops",
        initializer=torch.set_num_threads,
        initargs=(1,),
    )

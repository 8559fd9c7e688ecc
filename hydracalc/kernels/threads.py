"""Loops over edges shared out among as many threads as torch is given."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

# work below this, in edges times channels, is done sooner than a second thread wakes up
_WORTH_A_THREAD = 40_000
# every thread has arrays of its own to add to, so their number is bounded
_MOST_THREADS = 8


def count(work: int) -> int:
    """Threads worth waking for some work, in edges times channels; at least one."""
    useful = work // _WORTH_A_THREAD
    return 1 if useful < 2 else min(torch.get_num_threads(), useful, _MOST_THREADS)


def shares(receivers: np.ndarray, num_threads: int) -> list[tuple[int, int]]:
    """Ranges of edges for the threads; no receiver is in two of them.

    Args:
        receivers: of every edge, ascending, (E,).
        num_threads: at most so many ranges.

    Returns:
        first edge of each range and the edge after its last; at least one range.
    """
    num_edges = len(receivers)
    cuts = [0]
    for part in range(1, num_threads):
        edge = part * num_edges // num_threads
        cuts.append(int(np.searchsorted(receivers, receivers[edge])))
    cuts.append(num_edges)
    return [(a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True) if a < b] or [(0, num_edges)]


def run(tasks: list[Callable[[], None]]) -> None:
    """Do the tasks at the same time, the last one in the calling thread."""
    if len(tasks) == 1:
        tasks[0]()
        return
    waiting = [_pool(os.getpid()).submit(task) for task in tasks[:-1]]
    tasks[-1]()
    for each in waiting:
        each.result()


def over_rows(like: Tensor, work: Callable[..., None], *arrays: Tensor) -> None:
    """Run a loop over the rows of an array, on several threads where it is large.

    Args:
        like: the array whose rows are gone through.
        work: takes the first row, the row after the last, and the arrays.
        arrays: results, and what else comes after the rows.
    """
    rows, given = len(like), [each.numpy() for each in arrays]
    num_threads = count(like.numel())
    if num_threads == 1:
        work(0, rows, *given)
        return
    cuts = [rows * part // num_threads for part in range(num_threads + 1)]
    run([partial(work, *cuts[t : t + 2], *given) for t in range(num_threads)])


@lru_cache(maxsize=1)
def _pool(_process: int) -> ThreadPoolExecutor:
    """Threads of this process: those of the parent do not live on in a forked child."""
    return ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="hydracalc-edges")

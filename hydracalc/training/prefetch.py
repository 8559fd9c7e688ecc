"""Batches made ahead of time, so that a step never waits for its neighbor lists."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Key = TypeVar("Key")
Made = TypeVar("Made")


def prefetched(
    make: Callable[[Key], Made], keys: Iterable[Key], *, depth: int = 3
) -> Iterator[Made]:
    """Yield `make(key)` of each key in order; a thread is up to `depth` keys ahead.

    An error in `make` is raised where its result would have been yielded.
    """
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        try:
            for key in keys:
                waiting.append(pool.submit(make, key))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

"""Most bytes that tensors had at once while something ran, counted, not sampled.

Every operation's results are counted until their storage is freed, so the number is the same each
time, on any device. Buffers inside one operation are not seen.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Ledger(TorchDispatchMode):
    """Counts the bytes of new storages, and takes them off when they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401  # the signature is torch's
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        given = {id(s) for s in map(_storage, tree_leaves((args, kwargs))) if s is not None}
        results = func(*args, **(kwargs or {}))
        for storage in map(_storage, tree_leaves(results)):
            if storage is not None and id(storage) not in given and storage not in self._seen:
                self._enter(storage)
        return results

    def _enter(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self._seen.add(storage)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._leave, size)

    def _leave(self, size: int) -> None:
        self.now -= size


def tensor_peak(task: Callable[[], object]) -> int:
    """Bytes that tensors made by a task had at most at once, beyond those from before.

    Args:
        task: is run once.
    """
    with _Ledger() as ledger:
        task()
    return ledger.peak


def _storage(value: object) -> torch.UntypedStorage | None:
    return value.untyped_storage() if isinstance(value, torch.Tensor) else None

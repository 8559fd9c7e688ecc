"""How processes that were started together end together: by an error of one, or when asked to.

An error of one rank ends the job with that rank's message first and alone. A signal of the
scheduler is remembered until the ranks agree on it between two steps, so that the run can save.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any, NoReturn

from hydracalc.parallel import launch as launching
from hydracalc.parallel.launch import Launch

Describe = Callable[[BaseException], tuple[str, int]]

# keys of the store
_CLAIM = "hydracalc/claim"  # how many ranks have failed
_ENDED = "hydracalc/ended"  # set once the message of the first of them is out, or all are done
_WAITING = "hydracalc/waiting"  # ranks that waited in vain for another

_FOREVER = timedelta(days=365)
_STORE = timedelta(seconds=10)  # rank 0 answers from a thread of its own, however busy it is
# the launcher ends the others faster than this; where it does not, they end themselves
_LINGER_S = 1.0
# how a lost connection reads in gloo's and torch's errors, which share RuntimeError with much else
_LOST = ("Connection closed", "Connection reset", "Broken pipe", "Connection was likely closed")
_LATE = ("Timed out", "timed out", "wait timeout")

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def in_words(error: BaseException) -> tuple[str, int]:
    """Message and exit code of an error, as `together` has them if it is told no others."""
    if isinstance(error, ValueError | OSError | ImportError):
        return str(error), 1
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    return f"{type(error).__name__}: {error}", 1


@contextmanager
def joined(
    backend: str = "auto", *, timeout_s: float = 600.0, describe: Describe = in_words
) -> Iterator[Launch]:
    """Start as one of the ranks and do the work of the block together with them.

    Args:
        backend: of `start`.
        timeout_s: how long a rank waits for another before it takes it for lost.
        describe: message and exit code of an error.

    Raises:
        ValueError: no such backend or device, or no way to find the other ranks.
    """
    launch = launching.detect()
    # MPI waits for ever, when it starts and, if it could, at the end of the process once more
    guard = threading.Timer(timeout_s + _LINGER_S, _miss_start, (launch, timeout_s))
    guard.daemon = True
    guard.start()
    try:
        launch = launching.start(backend, timeout_s=timeout_s)
    except TimeoutError as error:
        _say(launch, str(error))
        launching.abort(launch, 1)
    finally:
        guard.cancel()
    with together(launch, describe):
        yield launch


@contextmanager
def together(launch: Launch, describe: Describe = in_words) -> Iterator[None]:
    """Do work that all ranks do, and end all of them if one fails.

    The rank that fails first prints one line, "rank 3: message", and the job ends with a code that
    is not 0; the others print nothing. Without other ranks an error goes its usual way. The end
    of the block is collective over the world.

    Args:
        launch: as `start` gave it.
        describe: message and exit code of an error.
    """
    if launch.store is None:
        yield
        return
    watch, leaving = _Watch(launch), None
    try:
        try:
            yield
        except SystemExit as error:
            if error.code not in (None, 0):
                raise
            leaving = error  # done, and in a hurry
        watch.close()
        watch.end()
        launching.stop(launch)
    except BaseException as error:  # noqa: BLE001  # the other ranks would wait for this one
        watch.close()
        _fail(launch, watch, error, describe)
    if leaving is not None:
        raise leaving


class Ending:
    """Hears the signals that ask a run to save and end; used in a with statement.

    The scheduler does not reach all ranks at the same moment, and none may leave a step that
    others are in: so a rank acts on a signal only once all know of it.

    Args:
        launch: as `start` gave it.
        signals: what is listened to. An interrupt from the keyboard is one more of them where
            there are other ranks; the second one is not waited with.
    """

    def __init__(self, launch: Launch, signals: tuple[signal.Signals, ...] = SIGNALS) -> None:
        self._launch = launch
        self._signals = signals if launch.size == 1 else (*signals, signal.SIGINT)
        self._before: dict[signal.Signals, Any] = {}
        self.heard: signal.Signals | None = None

    def __enter__(self) -> "Ending":
        """Listen from now on; only the main thread of a process can."""
        for number in self._signals:
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Signals do again what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.heard = signal.Signals(number)

    def requested(self) -> bool:
        """Whether any rank has heard a signal. Collective over the world.

        One number is summed, which a loop that sums others anyway can do itself: it adds
        `heard is not None` of all ranks and ends where the sum is not 0.
        """
        if self._launch.store is None:
            return self.heard is not None
        import torch
        import torch.distributed as dist

        count = torch.tensor([self.heard is not None], dtype=torch.int32)
        count = count.to(self._launch.device)
        dist.all_reduce(count)
        return bool(count.item())


class _Watch:
    """A thread that ends this process when another rank has failed, whatever this one does."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._store = _shared(launch).clone()  # a connection of its own, which it blocks
        self._is_over = threading.Event()
        self.has_heard = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="other ranks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The work of this rank is done: it can no longer be ended by others."""
        self._is_over.set()

    def end(self) -> None:
        """Let the threads of all ranks end. Collective over the world.

        A thread that returned from the store to an interpreter that is being taken down, because
        rank 0 has gone, would crash its process.
        """
        import torch.distributed as dist

        dist.barrier()  # from here on no rank can be ended by another
        if self._launch.is_root:
            _shared(self._launch).set(_ENDED, "")
        self._thread.join(_STORE.total_seconds())  # not for ever: rank 0 may end before it tells

    def _wait(self) -> None:
        try:
            self._store.wait([_ENDED], _FOREVER)
        except Exception:  # noqa: BLE001  # whoever kept the store has gone
            if not self._is_over.wait(_patience_s(self._launch)):
                _lose_store(self._launch)
        else:
            self.has_heard.set()
            if not self._is_over.wait(_LINGER_S):
                os._exit(1)


def _fail(launch: Launch, watch: _Watch, error: BaseException, describe: Describe) -> NoReturn:
    """End all ranks; only the first one that comes here says why."""
    message, code = describe(error)
    is_late, is_lost = (_reads(error, texts) for texts in (_LATE, _LOST))
    if is_lost and watch.has_heard.wait(_LINGER_S):
        _leave(launch, watch)  # it has failed because another one has
    store = _shared(launch)
    try:
        store.set_timeout(_STORE)
        if is_late or is_lost:
            store.append(_WAITING, f"{launch.rank},")
        if store.add(_CLAIM, 1) > 1:
            _leave(launch, watch)
        if is_late or is_lost:
            message = _who_is_missing(launch, is_late=is_late) + f" ({message.splitlines()[0]})"
        _say(launch, message)
        store.set(_ENDED, str(launch.rank))
        time.sleep(0.05)  # rank 0 keeps the store, which has to tell the others
    except RuntimeError:
        if is_late or is_lost:
            time.sleep(_patience_s(launch))
            _lose_store(launch)
        _say(launch, message)
    launching.abort(launch, code or 1)


def _miss_start(launch: Launch, timeout_s: float) -> NoReturn:
    _say(launch, f"not all of {launch.size} ranks started within {timeout_s:g} s")
    os._exit(1)


def _leave(launch: Launch, watch: _Watch) -> NoReturn:
    """End this process, without a word, where another one says why."""
    watch.has_heard.wait(3 * _LINGER_S)  # that one may wait itself, to hear of others that wait
    time.sleep(_LINGER_S)
    launching.abort(launch, 1)


def _lose_store(launch: Launch) -> NoReturn:
    keeper = "torchrun" if launch.kind == "torchrun" else "rank 0"
    _say(launch, f"lost the connection to {keeper}, which has ended without a message")
    launching.abort(launch, 1)


def _patience_s(launch: Launch) -> float:
    """All ranks lose the store at once; the first that says so should be able to end the rest."""
    return _LINGER_S * (2 + min(launch.rank, 50) / 10)


def _shared(launch: Launch) -> Any:  # noqa: ANN401  # torch's declarations lack clone and append
    assert launch.store is not None
    return launch.store


def _reads(error: BaseException, texts: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(text in str(error) for text in texts)


def _who_is_missing(launch: Launch, *, is_late: bool) -> str:
    """What is known of the ranks that this one waited for, told from those that wait as well."""
    time.sleep(_LINGER_S)  # for the others that wait
    waiting = {int(rank) for rank in _shared(launch).get(_WAITING).decode().split(",") if rank}
    missing = [rank for rank in range(launch.size) if rank not in waiting]
    shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
    how = "waited too long for other ranks" if is_late else "lost the connection to another rank"
    where = f"no word from rank {shown}" if missing else "all of them wait for each other"
    return f"{how}: {where}"


def _say(launch: Launch, message: str) -> None:
    """One whole line on stderr, whoever else writes."""
    sys.stdout.flush()
    sys.stderr.flush()
    line = " ".join(message.split())
    os.write(2, f"rank {launch.rank}: {line}\n".encode(errors="replace"))

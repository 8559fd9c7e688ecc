"""A thread that ends the job where a wait for another process takes too long."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# others wait so long for an answer of this process where the network needs its help for one
_POLL_S = 0.001
# launchers lose what a process says right before it ends the job
_LINGER_S = 0.3


class Watch:
    """Looks after waits that nothing can interrupt from the thread that is in them.

    MPI has no time limit: a call that needs a process which is stuck never comes back. On networks
    without remote memory access in hardware it has no ears either: a process answers others only
    while it is itself inside some call of MPI, so one that trains for a second would let them
    wait for a second. The thread makes such calls.

    Args:
        poll: lets MPI answer other processes.
        end: ends all processes; does not come back.
    """

    def __init__(self, poll: Callable[[], object], end: Callable[[], object]) -> None:
        self._poll = poll
        self._end = end
        self._waits: dict[object, tuple[float, str]] = {}
        self._users = 0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin; as many calls of `stop` end it."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._stopped.clear()
                self._thread = threading.Thread(target=self._run, name="store", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """One user less; the thread ends with the last."""
        with self._lock:
            self._users = max(0, self._users - 1)
            if self._users == 0 and self._thread is not None:
                self._stopped.set()
                self._thread.join()
                self._thread = None

    def stop_all(self) -> None:
        """End the thread whoever uses it: MPI must not be called once it is finalized."""
        self._users = 0
        self.stop()

    @contextmanager
    def waiting(self, message: str, seconds: float) -> Iterator[None]:
        """End the job with a message if the block takes longer."""
        key = object()
        self._waits[key] = (time.monotonic() + seconds, message)
        try:
            yield
        finally:
            del self._waits[key]

    def _run(self) -> None:
        while not self._stopped.wait(_POLL_S):
            waits = list(self._waits.values())
            if not waits:
                self._poll()  # a process that waits inside MPI answers others meanwhile
            late = [message for until, message in waits if time.monotonic() > until]
            if late:
                os.write(2, f"{late[0]}\n".encode())  # one whole line, whoever else writes
                time.sleep(_LINGER_S)
                self._end()

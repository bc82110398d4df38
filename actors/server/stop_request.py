"""What ends the server: a signal, or the failure of something that it cannot do without. And what
SIGHUP asks for instead.

The main thread waits on a pipe and not on an Event: the kernel may hand a signal to any thread, and
then nothing would wake a main thread that waits for a lock, so Python would never run the handler.
(If the other threads blocked the signals, the agents would inherit that.)
"""

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """`failure` says why, if it was no signal. Create it on the main thread."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self._wanted = False
        self._hung_up = False
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    @property
    def is_requested(self) -> bool:
        return self._wanted

    def fail(self, reason: str) -> None:
        """Request a stop because of a failure; any thread may call it."""
        self.failure = reason
        self._wanted = True
        self._wake()

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Turn SIGTERM and SIGINT into a request, within this context; a second signal changes
        nothing. SIGHUP is none."""
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._on_hangup)
        fd_before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(fd_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._reading)
            os.close(self._writing)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait; return True once a stop is requested. For the main thread."""
        if not self._wanted:
            ready, _, _ = select.select([self._reading], [], [], timeout_s)
            if ready:
                os.read(self._reading, 1024)  # the handler has run by now
        return self._wanted

    def wait_for_ever(self, on_hangup: Callable[[], None]) -> None:
        """Wait until a stop is requested; call `on_hangup` after each SIGHUP, also after one that
        came before. Other signals wake it, too, and change nothing."""
        while True:
            if self._hung_up:
                self._hung_up = False
                on_hangup()
            if self.wait():
                return

    def _on_signal(self, *_: object) -> None:
        self._wanted = True

    def _on_hangup(self, *_: object) -> None:
        self._hung_up = True

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # the pipe is full, or the server has stopped
            os.write(self._writing, b"x")

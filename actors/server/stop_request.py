"""What ends the server: a signal, or the failure of something that it cannot do without. And what
SIGHUP and SIGUSR1 ask for instead.

A thread reads the signals from a pipe, into which Python's C code writes them at once. The main
thread may be waiting for a lock then, and would run no Python handler: the kernel gives a signal to
any thread. (If the other threads blocked the signals, the agents would inherit that.)
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from actors.runtime.logger import get_logger

logger = get_logger("claudehub.main")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The first stop signal stops, the second one ends a drain, this one ends the process.
AT_ONCE = 3
# Reports of SIGUSR1 begin at least so far apart. A signal in between gets one report, however many
# there are.
SHOW_PAUSE_S = 1.0
# How long the end waits for a report, which may be long.
SHOW_STOP_S = 2.0
# All that a pipe of Linux holds.
_READ_BYTES = 65_536
_END = 0  # no signal has this number


class StopRequest:
    """`failure` says why, if it was no signal. `at_once` is called at the third signal, and `show`
    at SIGUSR1, each in a thread that is not the main thread. `hung_up` returns True if SIGHUP came
    before `signals`. Create it on the main thread."""

    def __init__(
        self,
        at_once: Callable[[], None] = lambda: None,
        show: Callable[[], None] = lambda: None,
        hung_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self.failure: str | None = None
        self._at_once = at_once
        self._show = show
        self._was_hung_up = hung_up
        self._is_over = threading.Event()
        self._to_show = threading.Event()
        self._changed = threading.Condition()
        self._signals = 0
        self._first_signal: str | None = None
        self._hung_up = False

    @property
    def is_requested(self) -> bool:
        return self._signals > 0 or self.failure is not None

    @property
    def reason(self) -> str | None:
        """Return the failure or the name of the first signal; None if no stop is requested."""
        return self.failure or self._first_signal

    @property
    def is_urgent(self) -> bool:
        """Return True if nothing may take longer than it must: a second signal, or a failure."""
        return self._signals > 1 or self.failure is not None

    def fail(self, reason: str) -> None:
        """Request a stop because of a failure; any thread may call it."""
        self.failure = reason
        self.wake()

    def wake(self) -> None:
        """Have the main thread look again at what it waits for; any thread may call it."""
        with self._changed:
            self._changed.notify_all()

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Take the signals, within this context."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        thread = threading.Thread(target=self._read, args=(reading,), name="signals", daemon=True)
        thread.start()
        shower = threading.Thread(target=self._show_each, name="state report", daemon=True)
        shower.start()
        fd_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        taken = (*STOP_SIGNALS, signal.SIGHUP, signal.SIGUSR1)
        before = {number: signal.signal(number, _in_the_thread) for number in taken}
        if self._was_hung_up():  # only now: no SIGHUP can come between the two
            self._hung_up = True
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(fd_before)
            os.write(writing, bytes([_END]))
            thread.join()
            self._is_over.set()
            self._to_show.set()
            shower.join(SHOW_STOP_S)
            os.close(reading)
            os.close(writing)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait; return True once a stop is requested."""
        return self.wait_until(lambda: self.is_requested, timeout_s)

    def wait_until(self, holds: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until `holds` returns True; return False if it does not in that time. It is called
        again after each signal, failure and `wake`."""
        with self._changed:
            return self._changed.wait_for(holds, timeout_s)

    def wait_for_ever(
        self,
        on_hangup: Callable[[], None],
        look: Callable[[], None] = lambda: None,
        period_s: float | None = None,
    ) -> None:
        """Wait until a stop is requested; call `on_hangup` after each SIGHUP, also after one that
        came before, and `look` after each period."""
        while not self.is_requested:
            self.wait_until(lambda: self.is_requested or self._hung_up, period_s)
            look()
            if self._hung_up and not self.is_requested:
                self._hung_up = False
                on_hangup()
        if self._hung_up:
            _say_that_nothing_is_read()

    def _read(self, pipe: int) -> None:
        """Read the signals as fast as they come: what a full pipe does not take is lost."""
        is_over = False
        while not is_over:
            numbers = os.read(pipe, _READ_BYTES)
            is_over = _END in numbers  # it may come together with signals
            self._take(numbers)

    def _take(self, numbers: bytes) -> None:
        """Take the signals of one read as a set, those that end the server first."""
        stops = [number for number in numbers if number in STOP_SIGNALS]
        with self._changed:
            is_too_late = signal.SIGHUP in numbers and self.is_requested
            self._hung_up |= signal.SIGHUP in numbers and not is_too_late
            self._signals += len(stops)
            if stops and self._first_signal is None:
                self._first_signal = signal.Signals(stops[0]).name
            self._changed.notify_all()
        if stops and self._signals >= AT_ONCE:
            self._at_once()
        if is_too_late:
            _say_that_nothing_is_read()
        if signal.SIGUSR1 in numbers:
            self._to_show.set()

    def _show_each(self) -> None:
        while self._to_show.wait() and not self._is_over.is_set():
            self._to_show.clear()
            self._show_safely()
            self._is_over.wait(SHOW_PAUSE_S)

    def _show_safely(self) -> None:
        """Show, and log it if that fails: a report is no reason to end the server."""
        try:
            self._show()
        except Exception:
            logger.exception("what SIGUSR1 asks for cannot be shown")


def _say_that_nothing_is_read() -> None:
    logger.warning("SIGHUP: the configuration is not read again, because the server stops")


def _in_the_thread(*_: object) -> None:
    """Do nothing: the thread has the signal. Without a handler the signal would end the process."""

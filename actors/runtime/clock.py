"""The only reader of the clock, and timers that do one thing: tell a message."""

import heapq
import itertools
import threading
import time
from datetime import UTC, datetime
from typing import Any, Protocol

import pykka

from actors.runtime.base import tell_if_alive

# Cancelled timers are dropped when all are twice as many as were kept the last time, or this many.
TIDY_LEAST = 1024


class Clock(Protocol):
    """Two times: one for stamps, one for deadlines."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class SystemClock:
    """The real one."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)  # asked some ten times for every request: no wrapper


def timestamp(moment: datetime) -> str:
    """Return a time as the log and the wire write it: RFC 3339, UTC, microseconds, `Z`."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Timer(Protocol):
    """One message on its way."""

    def cancel(self) -> None:
        """Cancel it; do nothing if it has fired. A timer that is cancelled late may still come, so
        the receiver checks the id in the message."""


class Timers(Protocol):
    """Tell an actor something later."""

    def after(self, delay_s: float, receiver: pykka.ActorRef[Any], message: object) -> Timer: ...


class _Entry:
    """A timer. Its delivery goes as soon as it is cancelled: an execution's time limit would keep
    its actor and its message in memory for as long as EXEC_TIMEOUT."""

    __slots__ = ("delivery",)

    def __init__(self, receiver: pykka.ActorRef[Any], message: object) -> None:
        self.delivery: tuple[pykka.ActorRef[Any], object] | None = (receiver, message)

    def cancel(self) -> None:
        self.delivery = None


class ThreadTimers:
    """All timers of the server, on one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, _Entry]] = []
        self._tidy_at = TIDY_LEAST
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop the thread; no timer fires after this."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def after(self, delay_s: float, receiver: pykka.ActorRef[Any], message: object) -> Timer:
        entry = _Entry(receiver, message)
        with self._changed:
            due = self._clock.monotonic() + delay_s
            heapq.heappush(self._due, (due, next(self._order), entry))
            if len(self._due) >= self._tidy_at:
                self._tidy()
            self._changed.notify()
        return entry

    def _tidy(self) -> None:
        """Drop the cancelled timers. The caller holds the lock; timers that are kept pay for it,
        since the next time comes when there are twice as many."""
        self._due = [due for due in self._due if due[2].delivery is not None]
        heapq.heapify(self._due)
        self._tidy_at = max(TIDY_LEAST, 2 * len(self._due))

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                wait = self._due[0][0] - self._clock.monotonic() if self._due else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                entry = heapq.heappop(self._due)[2]
            if (delivery := entry.delivery) is not None:  # read once: it may be cancelled now
                tell_if_alive(*delivery)

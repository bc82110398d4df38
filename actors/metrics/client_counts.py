"""What a connection counts: its messages, its requests, and what waits for it."""

from collections.abc import Iterable
from typing import Protocol

from actors.metrics import catalogue
from actors.metrics.catalogue import IN, OK, OUT, UNANSWERED, UNKNOWN
from actors.metrics.meter import Meter, Reading
from actors.runtime.clock import Clock


class Outgoing(Protocol):
    """An outbox, as a scrape reads it in a thread of its own."""

    sent_bytes: int

    @property
    def waiting_bytes(self) -> int:
        """Return the bytes that wait."""


class ClientCounts:
    """For the Client's thread only.

    Answers go in the order of the requests, so the oldest request is the one that is answered.
    (Ten thousand connections have one of these each: no deque, which has 600 bytes when empty.)
    """

    __slots__ = ("_clock", "_meter", "_open", "_outbox", "_tally")

    def __init__(self, meter: Meter, clock: Clock, outbox: Outgoing) -> None:
        self._meter = meter
        self._clock = clock
        self._outbox = outbox
        self._open: list[tuple[str, float]] = []
        self._tally = meter.tally(self._read)

    def _read(self) -> Iterable[Reading]:
        waiting = self._outbox.waiting_bytes
        yield catalogue.SENT_BYTES, (), self._outbox.sent_bytes
        yield catalogue.OUTBOX_BYTES, (), waiting
        yield catalogue.OUTBOX_LARGEST, (), waiting

    def received(self, kind: str, received_s: float) -> None:
        """Count a request. `received_s`: when its message was read, a monotonic time."""
        self._tally.count(catalogue.MESSAGES, kind, IN)
        self._open.append((kind, received_s))

    def answered(self, code: str | None) -> None:
        """Count the answer to the oldest request, which is about to be written. `code` is that of
        an error, or None."""
        kind, received_s = self._open.pop(0)
        tally = self._tally
        tally.count(catalogue.MESSAGES, kind, OUT)
        tally.count(catalogue.REQUESTS, kind, OK if code is None else code)
        tally.observe(catalogue.REQUEST_TIME, self._clock.monotonic() - received_s, kind)

    def replayed(self, update_types: Iterable[str]) -> None:
        """Count updates of history that were sent."""
        for update_type in update_types:
            known = update_type if update_type in catalogue.UPDATE_TYPES else UNKNOWN
            self._tally.count(catalogue.MESSAGES, known, OUT)

    def too_slow(self) -> None:
        """Count this connection as closed because its client reads too slowly."""
        self._tally.count(catalogue.SLOW_CLOSED)

    def end(self) -> None:
        """Count the requests without an answer: the connection is gone."""
        for kind, _ in self._open:
            self._tally.count(catalogue.REQUESTS, kind, UNANSWERED)
        self._meter.retire(self._tally)

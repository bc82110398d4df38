"""What a connection counts: its messages, its requests, and what waits for it."""

from collections import deque
from collections.abc import Callable, Iterable

from actors.metrics import catalogue
from actors.metrics.catalogue import IN, OK, OUT, UNANSWERED, UNKNOWN
from actors.metrics.meter import Meter, Reading
from actors.runtime.clock import Clock


class ClientCounts:
    """For the Client's thread only. `sent_bytes` and `waiting_bytes` read the outbox, for scrapes.

    Answers go in the order of the requests, so the oldest request is the one that is answered.
    """

    def __init__(
        self,
        meter: Meter,
        clock: Clock,
        *,
        sent_bytes: Callable[[], int],
        waiting_bytes: Callable[[], int],
    ) -> None:
        self._meter = meter
        self._clock = clock
        self._sent_bytes = sent_bytes
        self._waiting_bytes = waiting_bytes
        self._open: deque[tuple[str, float]] = deque()
        self._tally = meter.tally(self._read)

    def _read(self) -> Iterable[Reading]:
        waiting = self._waiting_bytes()
        yield catalogue.SENT_BYTES, (), self._sent_bytes()
        yield catalogue.OUTBOX_BYTES, (), waiting
        yield catalogue.OUTBOX_LARGEST, (), waiting

    def received(self, kind: str, received_s: float) -> None:
        """Count a request. `received_s`: when its message was read, a monotonic time."""
        self._tally.count(catalogue.MESSAGES, kind, IN)
        self._open.append((kind, received_s))

    def answered(self, code: str | None) -> None:
        """Count the answer to the oldest request, which is about to be written. `code` is that of
        an error, or None."""
        kind, received_s = self._open.popleft()
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
        while self._open:
            kind, _ = self._open.popleft()
            self._tally.count(catalogue.REQUESTS, kind, UNANSWERED)
        self._meter.retire(self._tally)

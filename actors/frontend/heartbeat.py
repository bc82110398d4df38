"""When to send a ping, and when the peer is gone. There is no timer: the reading thread
asks."""

from actors.runtime.clock import Clock


class Heartbeat:
    """Byte positions are counted as in the outbox: since the connection began."""

    def __init__(self, interval_s: float, clock: Clock) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._due_s = 0.0
        self._awaited_until: int | None = None
        self._delivered_bytes = 0
        self.restart()

    def restart(self) -> None:
        """Begin again from now; do not miss a pong that may not have been read."""
        self._due_s = self._clock.monotonic() + self._interval_s
        self._awaited_until = None

    @property
    def due_in_s(self) -> float:
        return self._due_s - self._clock.monotonic()

    def is_alive(self, delivered_bytes: int) -> bool:
        """Return True if the last ping was answered, or is still on its way behind other bytes, and
        those move. Called when a ping is due; `delivered_bytes` is what the peer's TCP has."""
        on_its_way = self._awaited_until is not None and delivered_bytes < self._awaited_until
        moves = delivered_bytes > self._delivered_bytes
        self._delivered_bytes = delivered_bytes
        return self._awaited_until is None or (on_its_way and moves)

    @property
    def awaits_pong(self) -> bool:
        return self._awaited_until is not None

    def pinged(self, until_bytes: int) -> None:
        """Note that a ping was sent, or waits to be sent, and ends at that byte."""
        self.postponed()
        self._awaited_until = until_bytes

    def postponed(self) -> None:
        """Send no ping now: the last one is still on its way, and another would only wait behind
        it."""
        # From now, not from when it was due: after a pause of the whole machine the peer has its
        # full time.
        self._due_s = self._clock.monotonic() + self._interval_s

    def answered(self) -> None:
        """Note a pong."""
        self._awaited_until = None

"""When a ping is due, and whether the peer is still there. No timer: the reading thread asks."""

from actors.runtime.clock import Clock


class Heartbeat:
    """Bytes are counted as in the outbox: over the life of the connection."""

    def __init__(self, interval_s: float, clock: Clock) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._due_s = 0.0
        self._awaited_until: int | None = None
        self._delivered_bytes = 0
        self.restart()

    def restart(self) -> None:
        """From now on; a pong that may not have been read is not missed."""
        self._due_s = self._clock.monotonic() + self._interval_s
        self._awaited_until = None

    @property
    def due_in_s(self) -> float:
        return self._due_s - self._clock.monotonic()

    def is_alive(self, delivered_bytes: int) -> bool:
        """At the time of a ping: whether the last one was answered, or is still on its way through
        what waits before it, and that moves. `delivered_bytes`: what the peer's TCP has."""
        on_its_way = self._awaited_until is not None and delivered_bytes < self._awaited_until
        moves = delivered_bytes > self._delivered_bytes
        self._delivered_bytes = delivered_bytes
        return self._awaited_until is None or (on_its_way and moves)

    @property
    def awaits_pong(self) -> bool:
        return self._awaited_until is not None

    def pinged(self, until_bytes: int) -> None:
        """A ping was sent, or waits to be: it ends at that byte."""
        self.postponed()
        self._awaited_until = until_bytes

    def postponed(self) -> None:
        """The last ping is still on its way: another would only wait behind it."""
        # From now and not from when it was due: after a pause of the whole machine the peer has as
        # long as ever.
        self._due_s = self._clock.monotonic() + self._interval_s

    def answered(self) -> None:
        """A pong came."""
        self._awaited_until = None

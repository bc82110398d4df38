"""Places for connections: those that are open, and those of whom nobody knows yet who they are."""

import threading
from collections import Counter
from collections.abc import Callable

from actors.clock import Clock

# Connections in the handshake, or that have not authenticated yet. Beyond it the one that has taken
# longest makes room, if it had this long; so a crowd that comes at once only waits, and a peer that
# says nothing keeps nobody out.
HANDSHAKES_MAX = 256
HANDSHAKE_GRACE_S = 1.0
# Of one address. The next one is cut off at once: it must not make others wait.
HANDSHAKES_PER_ADDRESS_MAX = 64


class Place:
    """One connection's: taken at its handshake, its own from when it is known who it is."""

    def __init__(self, places: "Places", abort: Callable[[], None]) -> None:
        self._places = places
        self.abort = abort

    def take(self) -> bool:
        """Whether there was one."""
        return self._places.take(self)

    def keep(self) -> None:
        """It is known who this is: nobody else gets the place."""
        self._places.keep(self)

    def leave(self) -> None:
        """Gives it back; asking again changes nothing."""
        self._places.leave(self)


class Places:
    """Open connections: MAX_CONN of them. Where all are taken, the one that has not said for
    longest who it is makes room, so that nobody without a key keeps those out who have one."""

    def __init__(self, limit: int, clock: Clock, *, grace_s: float = HANDSHAKE_GRACE_S) -> None:
        self._limit = limit
        self._clock = clock
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._known: set[Place] = set()
        self._unknown: dict[Place, float] = {}  # since when; oldest first

    def new(self, abort: Callable[[], None]) -> Place:
        """`abort` cuts the connection off; it is called where the place goes to another."""
        return Place(self, abort)

    @property
    def count(self) -> int:
        return len(self._known) + len(self._unknown)

    def take(self, place: Place) -> bool:
        with self._lock:
            if self.count >= self._limit and not self._make_room():
                return False
            self._unknown[place] = self._clock.monotonic()
            return True

    def keep(self, place: Place) -> None:
        with self._lock:
            if self._unknown.pop(place, None) is not None:
                self._known.add(place)

    def leave(self, place: Place) -> None:
        with self._lock:
            self._unknown.pop(place, None)
            self._known.discard(place)

    def _make_room(self) -> bool:
        oldest, since_s = next(iter(self._unknown.items()), (None, 0.0))
        if oldest is None or self._clock.monotonic() - since_s < self._grace_s:
            return False
        del self._unknown[oldest]  # its thread ends a moment later, and finds its place gone
        oldest.abort()
        return True


class Handshakes:
    """Connections whose peer is not known yet, oldest first."""

    def __init__(
        self,
        clock: Clock,
        *,
        limit: int = HANDSHAKES_MAX,
        per_address: int = HANDSHAKES_PER_ADDRESS_MAX,
        grace_s: float = HANDSHAKE_GRACE_S,
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._per_address = per_address
        self._grace_s = grace_s
        self._changed = threading.Condition()
        self._since: dict[object, tuple[float, str | None, Callable[[], None]]] = {}
        self._origins: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._since)

    def enter(self, key: object, origin: str | None, abort: Callable[[], None]) -> bool:
        """Takes a place; waits for one, for the grace at most, and then takes it from the oldest,
        whose `abort` is called. False where its address has too many already; `origin` None has no
        such limit."""
        with self._changed:
            if origin is not None and self._origins[origin] >= self._per_address:
                return False
            while len(self._since) >= self._limit:
                oldest, (since_s, _, abort_oldest) = next(iter(self._since.items()))
                left_s = since_s + self._grace_s - self._clock.monotonic()
                if left_s > 0 and self._changed.wait_for(self._has_room, left_s):
                    break
                if self._take_out(oldest):
                    abort_oldest()
            self._since[key] = (self._clock.monotonic(), origin, abort)
            if origin is not None:
                self._origins[origin] += 1
            return True

    def leave(self, key: object) -> None:
        """It is known who it is, or it is gone; asking again changes nothing."""
        with self._changed:
            self._take_out(key)
            self._changed.notify()

    def _take_out(self, key: object) -> bool:
        if (found := self._since.pop(key, None)) is None:
            return False
        _, origin, _ = found
        if origin is not None:
            self._origins[origin] -= 1
            if not self._origins[origin]:
                del self._origins[origin]
        return True

    def _has_room(self) -> bool:
        return len(self._since) < self._limit

"""Limits on open connections and on connections that have not authenticated yet."""

import threading
from collections import Counter
from collections.abc import Callable

from actors.runtime.clock import Clock

# Connections in the handshake, or that have not authenticated yet. Beyond it the one that has taken
# longest makes room, if it had this long; so a crowd that comes at once only waits, and a peer that
# says nothing keeps nobody out. (A busy server needs up to seconds of its own for a crowd of a
# thousand: 256 places for a second each cut off honest ones.)
HANDSHAKES_MAX = 1024
HANDSHAKE_GRACE_S = 2.0
# Of one address. The next one is cut off at once: it must not make others wait.
HANDSHAKES_PER_ADDRESS_MAX = 256
# Of MAX_CONN, what one address may have: no single place keeps everybody else out.
ADDRESS_SHARE = 0.75


class _Addresses:
    """How many there are of each, at most so many; those of this machine are not counted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def has_room(self, origin: str | None) -> bool:
        return origin is None or self._counts[origin] < self._limit

    def add(self, origin: str | None) -> None:
        if origin is not None:
            self._counts[origin] += 1

    def remove(self, origin: str | None) -> None:
        if origin is None:
            return
        self._counts[origin] -= 1
        if not self._counts[origin]:  # nothing stays of addresses that are gone
            del self._counts[origin]


class ConnectionPermit:
    """One connection's among MAX_CONN."""

    def __init__(self, places: "ConnectionLimit", origin: str | None) -> None:
        self._places = places
        self.origin = origin
        self.is_over = False

    def has_room(self) -> bool:
        """Whether there is one now, for the answer to a handshake."""
        return self._places.has_room(self)

    def take(self) -> bool:
        """It is known who this is. Whether there was one."""
        return self._places.take(self)

    def leave(self) -> None:
        """The connection is gone: gives it back, and takes none any more. Asking again changes
        nothing."""
        self._places.leave(self)


class ConnectionLimit:
    """Open connections of whom it is known who they are: MAX_CONN of them. Others have none, so
    that nobody without a key keeps those out who have one; PendingConnections limits them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._addresses = _Addresses(max(1, round(limit * ADDRESS_SHARE)))
        self._lock = threading.Lock()
        self._taken: set[ConnectionPermit] = set()

    def new(self, origin: str | None) -> ConnectionPermit:
        """For a connection from there; None: no limit by address."""
        return ConnectionPermit(self, origin)

    @property
    def count(self) -> int:
        return len(self._taken)

    def has_room(self, place: ConnectionPermit) -> bool:
        with self._lock:
            return self._has_room(place)

    def take(self, place: ConnectionPermit) -> bool:
        with self._lock:
            if not self._has_room(place):
                return False
            self._taken.add(place)
            self._addresses.add(place.origin)
            return True

    def leave(self, place: ConnectionPermit) -> None:
        with self._lock:
            place.is_over = True  # a key may be found to be good only now, by another thread
            if place not in self._taken:
                return
            self._taken.remove(place)
            self._addresses.remove(place.origin)

    def _has_room(self, place: ConnectionPermit) -> bool:
        if len(self._taken) >= self._limit or place.is_over:
            return False
        return self._addresses.has_room(place.origin)


class PendingConnections:
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
        self._addresses = _Addresses(per_address)
        self._grace_s = grace_s
        self._changed = threading.Condition()
        self._since: dict[object, tuple[float, str | None, Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._since)

    def enter(self, key: object, origin: str | None, abort: Callable[[], None]) -> bool:
        """Takes a place; waits for one, for the grace at most, and then takes it from the oldest,
        whose `abort` is called. False where its address has too many already; `origin` None has no
        such limit."""
        with self._changed:
            if not self._addresses.has_room(origin):
                return False
            while len(self._since) >= self._limit:
                oldest, (since_s, _, abort_oldest) = next(iter(self._since.items()))
                left_s = since_s + self._grace_s - self._clock.monotonic()
                if left_s > 0 and self._changed.wait_for(self._has_room, left_s):
                    break
                if self._take_out(oldest):
                    abort_oldest()
            self._since[key] = (self._clock.monotonic(), origin, abort)
            self._addresses.add(origin)
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
        self._addresses.remove(origin)
        return True

    def _has_room(self) -> bool:
        return len(self._since) < self._limit

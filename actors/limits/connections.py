"""Limits on open connections and on connections that have not authenticated yet."""

import threading
from collections import Counter
from collections.abc import Callable

from actors.runtime.clock import Clock

# Connections in the handshake, or without authentication. Beyond this the one that has taken
# longest is cut off, if it has had HANDSHAKE_GRACE_S. So a crowd that comes at once only waits, and
# a silent peer keeps nobody out. (A busy server needs seconds for a crowd of a thousand: with 256
# connections and one second, honest clients were cut off.)
HANDSHAKES_MAX = 1024
HANDSHAKE_GRACE_S = 2.0
# The limit for one address. The next one is cut off at once: it must not make others wait.
HANDSHAKES_PER_ADDRESS_MAX = 256
# The share of MAX_CONN for one address, so that no single address keeps everybody else out.
ADDRESS_SHARE = 0.75


class _Addresses:
    """Count connections by address, up to a limit; connections from this machine are not
    counted."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def change(self, limit: int) -> None:
        self._limit = limit

    def has_room(self, origin: str | None) -> bool:
        return origin is None or self._counts[origin] < self._limit

    def add(self, origin: str | None) -> None:
        if origin is not None:
            self._counts[origin] += 1

    def remove(self, origin: str | None) -> None:
        if origin is None:
            return
        self._counts[origin] -= 1
        if not self._counts[origin]:  # forget addresses without connections
            del self._counts[origin]


class ConnectionPermit:
    """One connection's permit to count against MAX_CONN."""

    def __init__(self, limit: "ConnectionLimit", origin: str | None) -> None:
        self._limit = limit
        self.origin = origin
        self.is_over = False

    def has_room(self) -> bool:
        """Return True if MAX_CONN leaves room now, for the answer to a handshake."""
        return self._limit.has_room(self)

    def take(self) -> bool:
        """Count the connection: its peer is known. Return False if there is no room."""
        return self._limit.take(self)

    def leave(self) -> None:
        """Give the permit back, and take none any more: the connection is gone. Calling it again
        changes nothing."""
        self._limit.leave(self)


class ConnectionLimit:
    """Count open connections whose peers are known, up to MAX_CONN. Unauthenticated connections do
    not count, so that nobody without a key keeps clients with a key out; PendingConnections limits
    them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._addresses = _Addresses(max(1, round(limit * ADDRESS_SHARE)))
        self._lock = threading.Lock()
        self._taken: set[ConnectionPermit] = set()

    def new(self, origin: str | None) -> ConnectionPermit:
        """Return a permit for a connection from that address; None: no limit by address."""
        return ConnectionPermit(self, origin)

    def change(self, limit: int) -> None:
        """Take another MAX_CONN. Connections above it stay."""
        with self._lock:
            self._limit = limit
            self._addresses.change(max(1, round(limit * ADDRESS_SHARE)))

    @property
    def count(self) -> int:
        return len(self._taken)

    def has_room(self, permit: ConnectionPermit) -> bool:
        with self._lock:
            return self._has_room(permit)

    def take(self, permit: ConnectionPermit) -> bool:
        with self._lock:
            if not self._has_room(permit):
                return False
            self._taken.add(permit)
            self._addresses.add(permit.origin)
            return True

    def leave(self, permit: ConnectionPermit) -> None:
        with self._lock:
            permit.is_over = True  # another thread may find its key to be valid only now
            if permit not in self._taken:
                return
            self._taken.remove(permit)
            self._addresses.remove(permit.origin)

    def _has_room(self, permit: ConnectionPermit) -> bool:
        if len(self._taken) >= self._limit or permit.is_over:
            return False
        return self._addresses.has_room(permit.origin)


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
        """Add a connection. If there is no room, wait at most the grace, then cut off the oldest
        one by calling its `abort`. Return False if its address has too many; `origin` None has no
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
        """Take a connection out: its peer is known, or it is gone. Calling it again changes
        nothing."""
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

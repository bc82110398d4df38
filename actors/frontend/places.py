"""Places for connections: those that are open, and those that have not finished their handshake."""

import threading
from collections.abc import Callable
from typing import Any

from actors.clock import Clock

# Connections in the handshake. Beyond it the one that has taken longest makes room, if it had this
# long; so a crowd that comes at once only waits, and a peer that says nothing keeps nobody out.
HANDSHAKES_MAX = 256
HANDSHAKE_GRACE_S = 1.0


class ConnectionCount:
    """Open connections: MAX_CONN of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._count = 0

    def admit(self) -> bool:
        with self._lock:
            if self._count >= self._limit:
                return False
            self._count += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._count -= 1

    @property
    def count(self) -> int:
        return self._count


class Handshakes:
    """Unfinished ones, oldest first."""

    def __init__(
        self, clock: Clock, *, limit: int = HANDSHAKES_MAX, grace_s: float = HANDSHAKE_GRACE_S
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._grace_s = grace_s
        self._changed = threading.Condition()
        self._since: dict[Any, tuple[float, Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._since)

    def enter(self, key: object, abort: Callable[[], None]) -> None:
        """Takes a place; waits for one, for the grace at most, and then takes it from the oldest,
        whose `abort` is called."""
        with self._changed:
            while len(self._since) >= self._limit:
                oldest, (since_s, abort_oldest) = next(iter(self._since.items()))
                left_s = since_s + self._grace_s - self._clock.monotonic()
                if left_s > 0 and self._changed.wait_for(self._has_room, left_s):
                    break
                if self._since.pop(oldest, None) is not None:
                    abort_oldest()
            self._since[key] = (self._clock.monotonic(), abort)

    def leave(self, key: object) -> None:
        """It has finished, or is gone; asking again changes nothing."""
        with self._changed:
            self._since.pop(key, None)
            self._changed.notify()

    def _has_room(self) -> bool:
        return len(self._since) < self._limit

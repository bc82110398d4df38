"""Limits on a connection's requests: how many a second, and how many at a time."""

import threading
from collections import deque

from actors.clock import Clock

BURST_FACTOR = 2


class TokenBucket:
    """`per_second` tokens a second, with bursts of twice that."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._tokens = self._capacity = per_second * BURST_FACTOR
        self._filled_at = clock.monotonic()

    def take(self) -> bool:
        """Whether there was a token."""
        now = self._clock.monotonic()
        gained = (now - self._filled_at) * self._per_second
        self._tokens = min(self._capacity, self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class RequestCredit:
    """Requests that are not answered yet: so many, and so many bytes (one is taken whatever its
    size). They are answered in order, so the size of the oldest is what comes back."""

    def __init__(self, requests_max: int, bytes_max: int) -> None:
        self._requests_max = requests_max
        self._bytes_max = bytes_max
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def take(self, size_bytes: int, timeout_s: float) -> bool:
        """False where there was no room in that time."""
        with self._changed:
            if not self._changed.wait_for(self._has_room, timeout_s):
                return False
            self._sizes.append(size_bytes)
            self._bytes += size_bytes
            return True

    def answered(self) -> None:
        with self._changed:
            if self._sizes:
                self._bytes -= self._sizes.popleft()
            self._changed.notify()

    def _has_room(self) -> bool:
        return len(self._sizes) < self._requests_max and self._bytes < self._bytes_max

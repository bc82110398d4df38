"""Limits on a connection's requests: how many a second, and how many at a time."""

import threading
from collections import OrderedDict

from actors.runtime.clock import Clock

BURST_S = 2.0
# Addresses that are remembered, the last ones seen.
ADDRESSES_MAX = 1024


class TokenBucket:
    """`per_second` tokens a second, with bursts of what comes in `burst_s`."""

    def __init__(self, per_second: float, clock: Clock, *, burst_s: float = BURST_S) -> None:
        self._per_second = per_second
        self._clock = clock
        self._tokens = self._capacity = per_second * burst_s
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


class AddressBuckets:
    """A bucket for each address, for a caller who has a lock."""

    def __init__(self, per_second: float, clock: Clock, *, burst_s: float = BURST_S) -> None:
        self._per_second = per_second
        self._clock = clock
        self._burst_s = burst_s
        self._buckets: OrderedDict[str | None, TokenBucket] = OrderedDict()

    def of(self, origin: str | None) -> TokenBucket:
        """Those without an address, this machine's, share one."""
        found = self._buckets.get(origin)
        if found is None:
            found = TokenBucket(self._per_second, self._clock, burst_s=self._burst_s)
            self._buckets[origin] = found
        self._buckets.move_to_end(origin)
        if len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        return found


class RequestCredit:
    """Requests that are not answered yet: so many, and so many bytes (one is taken whatever its
    size). They are answered in order, so the size of the oldest is what comes back.

    One thread takes. (A Condition would do; it takes a KiB of every connection.)
    """

    __slots__ = ("_bytes", "_bytes_max", "_lock", "_requests_max", "_sizes", "_waiter")

    def __init__(self, requests_max: int, bytes_max: int) -> None:
        self._requests_max = requests_max
        self._bytes_max = bytes_max
        self._sizes: list[int] = []
        self._bytes = 0
        self._lock = threading.Lock()
        self._waiter: threading.Lock | None = None

    def take(self, size_bytes: int, timeout_s: float) -> bool:
        """False where there was no room in that time."""
        waiter = self._take(size_bytes)
        if waiter is None:
            return True
        waiter.acquire(timeout=timeout_s)
        return self._take(size_bytes) is None

    def answered(self) -> None:
        with self._lock:
            if self._sizes:
                self._bytes -= self._sizes.pop(0)
            if self._waiter is not None and self._has_room():
                self._waiter.release()
                self._waiter = None

    def _take(self, size_bytes: int) -> "threading.Lock | None":
        """None where there was room; else what is released when there is."""
        with self._lock:
            self._waiter = None
            if self._has_room():
                self._sizes.append(size_bytes)
                self._bytes += size_bytes
                return None
            self._waiter = threading.Lock()
            self._waiter.acquire()
            return self._waiter

    def _has_room(self) -> bool:
        return len(self._sizes) < self._requests_max and self._bytes < self._bytes_max

"""A limit on requests a second."""

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

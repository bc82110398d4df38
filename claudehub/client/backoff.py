"""When to try again after a connection is lost."""

import random
from collections.abc import Callable

FIRST_S = 0.25
LONGEST_S = 30.0
# A connection that was closed sooner is no reason to try again at once.
LIVED_S = 1.0
# 1001: the hub stops, perhaps to start again. 1013: this client was too slow.
AT_ONCE = frozenset({1001, 1013})


class Backoff:
    """Delays that double from 0.25 s to 30 s, each with full jitter, so that clients of one hub
    do not come back together."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        """`jitter` returns a number from 0 to 1."""
        self._jitter = jitter
        self._failures = 0

    def after(self, close_code: int | None, lived_s: float) -> float:
        """Return how many seconds to wait, given how the last connection ended and how long it was
        open. Only a connection that was open for a while ends the doubling: a hub that greets and
        closes at once must not be tried for ever in a hurry."""
        if lived_s >= LIVED_S:
            self._failures = 0
            if close_code in AT_ONCE:
                return 0.0
        # The exponent is bounded: 2 ** 10000 is no float.
        longest = min(FIRST_S * 2.0 ** min(self._failures, 16), LONGEST_S)
        self._failures += 1
        return longest * self._jitter()

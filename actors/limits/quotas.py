"""Limits on what one connection, one address and all clients together may ask for in a time."""

import math
import threading
from collections import OrderedDict

from actors.limits.peer import Peer
from actors.runtime.clock import Clock
from protocol.error_details import ErrorDetails
from protocol.errors import ErrorCode, RequestRefused

BURST_S = 2.0
# How many addresses are remembered, the most recent ones.
ADDRESSES_MAX = 1024
# As multiples of RATE_LIMIT, the limit of one connection.
REQUESTS_PER_ADDRESS = 20
REQUESTS_IN_ALL = 200
# Executions of one connection in a minute, as a multiple of RATE_LIMIT. Enough for any program that
# waits for answers; a runaway program is stopped before it costs a fortune.
EXECUTIONS_A_MINUTE = 20
# As multiples of the limit of one connection.
EXECUTIONS_PER_ADDRESS = 2
EXECUTIONS_IN_ALL = 6
_MINUTE_S = 60.0


class Rate:
    """How many tokens a second; it may change while buckets use it."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second


class TokenBucket:
    """Allow `rate` tokens a second, with bursts of what comes in `burst_s`."""

    def __init__(self, rate: Rate | float, clock: Clock, *, burst_s: float = BURST_S) -> None:
        self._rate = rate if isinstance(rate, Rate) else Rate(rate)
        self._burst_s = burst_s
        self._clock = clock
        self._tokens = self._rate.per_second * burst_s
        self._filled_at = clock.monotonic()

    def take(self) -> bool:
        """Take a token; return False if there was none."""
        now = self._clock.monotonic()
        gained = (now - self._filled_at) * self._rate.per_second
        self._tokens = min(self._rate.per_second * self._burst_s, self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait_s(self) -> float:
        """Return how long it takes until there is a token, as of the last `take`."""
        return max(0.0, (1 - self._tokens) / self._rate.per_second)


class AddressBuckets:
    """A bucket for each address. The caller holds a lock."""

    def __init__(self, rate: Rate | float, clock: Clock, *, burst_s: float = BURST_S) -> None:
        self._rate = rate if isinstance(rate, Rate) else Rate(rate)
        self._clock = clock
        self._burst_s = burst_s
        self._buckets: OrderedDict[str | None, TokenBucket] = OrderedDict()

    def of(self, origin: str | None) -> TokenBucket:
        """Return the bucket of an address; connections from this machine share one."""
        found = self._buckets.get(origin)
        if found is None:
            found = TokenBucket(self._rate, self._clock, burst_s=self._burst_s)
            self._buckets[origin] = found
        self._buckets.move_to_end(origin)
        if len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        return found


class Allowance:
    """Limits for each connection, each address and all together; any thread may use it. Connections
    from this machine have no address, and count with all."""

    def __init__(
        self,
        what: str,
        clock: Clock,
        *,
        per_second: float,
        burst_s: float,
        per_address: float,
        in_all: float,
    ) -> None:
        """`per_second` is the limit of one connection; `burst_s` seconds of it may come at once.
        `per_address` and `in_all` are multiples of it."""
        self._what = what
        self._clock = clock
        self._rate = Rate(per_second)
        self._shared = ((Rate(0), in_all), (Rate(0), per_address))
        self._burst_s = burst_s
        self._lock = threading.Lock()
        (of_all, _), (of_addresses, _) = self._shared
        self.change(per_second)
        self._in_all = TokenBucket(of_all, clock, burst_s=burst_s)
        self._addresses = AddressBuckets(of_addresses, clock, burst_s=burst_s)

    def change(self, per_second: float) -> None:
        """Take another limit of one connection, for all connections that there are, too."""
        self._rate.per_second = per_second
        for rate, multiple in self._shared:
            rate.per_second = per_second * multiple

    def of_connection(self) -> TokenBucket:
        """Return a bucket for one connection's thread."""
        return TokenBucket(self._rate, self._clock, burst_s=self._burst_s)

    def refusal(
        self, bucket: TokenBucket, peer: Peer, *, shared: bool = True
    ) -> RequestRefused | None:
        """Count one more; return the answer if it is too many. If not `shared`, the shared limits
        are left alone: unauthenticated connections do not use them up."""
        if not bucket.take():
            return self._limited("", bucket)
        if not shared:
            return None
        with self._lock:
            if peer.origin is not None:
                of_address = self._addresses.of(peer.origin)
                if not of_address.take():
                    return self._limited(f" from {peer.origin}", of_address)
            if not self._in_all.take():
                return self._limited(" of all clients together", self._in_all)
        return None

    def _limited(self, whose: str, bucket: TokenBucket) -> RequestRefused:
        wait_s = math.ceil(bucket.wait_s() * 1000) / 1000
        message = f"too many {self._what}{whose}; try again in {wait_s:g} s"
        details = ErrorDetails(retry_after_seconds=wait_s)
        return RequestRefused(ErrorCode.RATE_LIMITED, message, details)


class Quotas:
    """`rate_limit` is RATE_LIMIT."""

    def __init__(self, rate_limit: float, clock: Clock) -> None:
        self.requests = Allowance(
            "requests a second (RATE_LIMIT)",
            clock,
            per_second=rate_limit,
            burst_s=BURST_S,
            per_address=REQUESTS_PER_ADDRESS,
            in_all=REQUESTS_IN_ALL,
        )
        self.executions = Allowance(
            "executions a minute (RATE_LIMIT)",
            clock,
            per_second=rate_limit * EXECUTIONS_A_MINUTE / _MINUTE_S,
            burst_s=_MINUTE_S,
            per_address=EXECUTIONS_PER_ADDRESS,
            in_all=EXECUTIONS_IN_ALL,
        )

    def change(self, rate_limit: float) -> None:
        """Take another RATE_LIMIT."""
        self.requests.change(rate_limit)
        self.executions.change(rate_limit * EXECUTIONS_A_MINUTE / _MINUTE_S)

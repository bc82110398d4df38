"""Which refused authentications get a line of the log: anybody who reaches the port can cause them.

A few of each address in a minute have a line each, and fewer of all addresses together than would
fill the log. What is left out is summed up in one line a minute. The audit log has limits of its
own (trail.py).
"""

import threading
from collections import Counter

from actors.limits.peer import Peer
from actors.limits.quotas import AddressBuckets, TokenBucket
from actors.runtime.clock import Clock
from actors.runtime.logger import get_logger

logger = get_logger("claudehub.client")

LINES_A_MINUTE = 10
LINES_A_MINUTE_IN_ALL = 60
SUM_EVERY_S = 60.0
# How many addresses are told apart for the sum.
ADDRESSES_MAX = 1024
_OTHERS = "others"


class RefusalLines:
    """Any thread may use it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        per_s, burst_s = LINES_A_MINUTE / SUM_EVERY_S, SUM_EVERY_S
        self._addresses = AddressBuckets(per_s, clock, burst_s=burst_s)
        in_all_per_s = LINES_A_MINUTE_IN_ALL / SUM_EVERY_S
        self._in_all = TokenBucket(in_all_per_s, clock, burst_s=burst_s)
        self._left_out: Counter[str] = Counter()
        self._since_s = 0.0

    def take(self, peer: Peer) -> bool:
        """Return True if a refusal gets a line; else count it."""
        with self._lock:
            if self._addresses.of(peer.origin).take() and self._in_all.take():
                return True
            if not self._left_out:
                self._since_s = self._clock.monotonic()
            one = str(peer)
            if one not in self._left_out and len(self._left_out) >= ADDRESSES_MAX:
                one = _OTHERS
            self._left_out[one] += 1
            return False

    def look(self) -> None:
        """Say what was left out, SUM_EVERY_S after the first of it. Somebody calls this now and
        then."""
        with self._lock:
            due_s = self._since_s + SUM_EVERY_S
            if not self._left_out or self._clock.monotonic() < due_s:
                return
        self.sum_up()

    def sum_up(self) -> None:
        """Say what was left out by now."""
        with self._lock:
            counted, self._left_out = self._left_out, Counter()
        if counted:
            ((address, most),) = counted.most_common(1)
            logger.warning(
                "further authentications were refused",
                count=counted.total(),
                addresses=len(counted),
                most_from=address,
                most=most,
            )
